//! The dialect tables, compiled: what `otel_llm_semconv.dialects.compile_dialects` writes as plain data.

use bumpalo::Bump;
use rustc_hash::FxHashMap;

use crate::dialects::shape_names::{dictionary, Shapes, Words};
use crate::dialects::shapes::Step;
use crate::values::any_value::Type;
use crate::values::parse::Reader;
use crate::values::value::{Pair, Plain};

/// What is wrong with a table.
pub type Problem = String;

pub(crate) type Read<T> = Result<T, Problem>;

/// The number of a key: of an attribute that rules read or write, or of a tree of flattened ones.
pub type KeyNumber = u32;

/// A set of dialects, by their numbers.
pub type DialectSet = u64;

/// The keys that the engine writes about dialects, and its bounds.
pub struct Settings {
    pub names_key: String,
    pub problems_key: String,
    pub carried_key: String,
    pub keeps_originals: bool,
    pub max_problems: usize,
    pub max_json_chars: usize,
}

pub struct DialectTable {
    pub settings: Settings,
    pub keys: FxHashMap<Box<str>, KeyNumber>,
    pub key_names: Vec<Box<str>>,
    /// The dialects that a key gives away.
    pub markers: Vec<DialectSet>,
    scopes: Vec<(Box<str>, usize)>,
    resources: Vec<(Box<str>, Box<str>, usize)>,
    /// In the order in which they are tried.
    pub dialects: Vec<Dialect>,
    /// The beginnings of flattened keys, each with the number of its pattern.
    pub trees: Vec<(Box<str>, KeyNumber)>,
    pub shapes: Shapes,
    pub names_key: KeyNumber,
    pub problems_key: KeyNumber,
    pub carried_key: KeyNumber,
}

pub struct Dialect {
    pub name: Box<str>,
    /// Each string of it is JSON.
    pub is_json: bool,
    pub rules: Vec<Rule>,
    /// Keys that may be said to have been carried over whole.
    pub carried: Vec<KeyNumber>,
    /// What leaves, besides what was carried, where originals are not wanted.
    pub unwanted: Vec<Box<str>>,
}

pub struct Rule {
    pub to: KeyNumber,
    pub kind: Type,
    /// The rule does nothing unless one of these is there; `None` when it needs others than these.
    pub needs: Option<Vec<Need>>,
    pub from: Vec<Source>,
    pub value: Option<Constant>,
    pub is_sum: bool,
    pub replaces: bool,
    pub when: Vec<Condition>,
    pub steps: Vec<Conversion>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Attribute(KeyNumber),
    Tree(usize),
    Events,
}

pub struct Source {
    pub place: Place,
    pub key: KeyNumber,
    pub path: Vec<Step>,
}

pub enum Place {
    Attribute,
    Tree(usize),
    /// Events of this very name, or of names that begin so.
    Events {
        is_whole_name: bool,
    },
    SpanName,
    SpanIsRoot,
    ScopeName,
    Resource,
    Object(Vec<(Box<str>, Source)>),
}

pub struct Condition {
    pub source: Source,
    pub test: Test,
}

pub enum Test {
    Present,
    Absent,
    OneOf(Vec<Box<str>>),
}

pub enum Constant {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    /// What only Python can write.
    Other,
}

pub enum Conversion {
    Decode,
    Where { field: Box<str>, wanted: Vec<Box<str>> },
    Split(Box<str>),
    Messages { role: Box<str> },
    Documents,
    Tools,
    Column(Vec<Step>),
    Count,
    Map { words: Words, is_dotted: bool },
    Scale(f64),
    SinceStart,
}

impl DialectTable {
    /// Reads a table from JSON.
    ///
    /// # Errors
    /// A sentence when it has another form than this build reads.
    pub fn read(json: &str, settings: Settings) -> Read<Self> {
        let bump = Bump::new();
        let parsed = Reader::unbounded(&bump, false).parse(json);
        let table = parsed.map_err(|_| Problem::from("dialects: are no JSON"))?;
        let mut made = DialectTable {
            keys: FxHashMap::default(),
            key_names: Vec::new(),
            markers: Vec::new(),
            scopes: Vec::new(),
            resources: Vec::new(),
            dialects: Vec::new(),
            trees: Vec::new(),
            shapes: Shapes::read(member(table, "shapes")?)?,
            names_key: 0,
            problems_key: 0,
            carried_key: 0,
            settings,
        };
        made.names_key = made.number(&made.settings.names_key.clone());
        made.problems_key = made.number(&made.settings.problems_key.clone());
        made.carried_key = made.number(&made.settings.carried_key.clone());
        for dialect in items(table, "dialects")? {
            let dialect = made.dialect(*dialect)?;
            made.dialects.push(dialect);
        }
        if made.dialects.len() > DialectSet::BITS as usize {
            return Err(format!("dialects: are {}; {} are possible", made.dialects.len(), DialectSet::BITS));
        }
        for (key, names) in pairs(member(table, "markers")?)? {
            let number = made.number(key) as usize;
            for name in names.items() {
                made.markers[number] |= 1 << made.dialect_number(*name)?;
            }
        }
        for one in items(table, "scopes")? {
            let [pattern, name] = one.items() else { return Err("scopes: have another form".into()) };
            let number = made.dialect_number(*name)?;
            made.scopes.push((word(*pattern)?.into(), number));
        }
        for one in items(table, "resource")? {
            let [key, value, name] = one.items() else { return Err("resource: has another form".into()) };
            let number = made.dialect_number(*name)?;
            made.resources.push((word(*key)?.into(), word(*value)?.into(), number));
        }
        Ok(made)
    }

    /// The dialects that an instrumentation scope's name gives away.
    pub fn of_scope(&self, scope: &str) -> DialectSet {
        let given = self.scopes.iter().filter(|(pattern, _)| begins(scope, pattern) || scope == &**pattern);
        given.fold(0, |set, (_, number)| set | 1 << number)
    }

    /// The dialects that an attribute of a resource gives away.
    pub fn of_resource(&self, key: &str, value: &str) -> DialectSet {
        let given = self.resources.iter().filter(|(name, wanted, _)| &**name == key && &**wanted == value);
        given.fold(0, |set, (_, _, number)| set | 1 << number)
    }

    pub fn name(&self, key: KeyNumber) -> &str {
        &self.key_names[key as usize]
    }

    fn number(&mut self, key: &str) -> KeyNumber {
        if let Some(number) = self.keys.get(key) {
            return *number;
        }
        let number = self.key_names.len() as KeyNumber;
        self.keys.insert(key.into(), number);
        self.key_names.push(key.into());
        self.markers.push(0);
        number
    }

    fn dialect_number(&self, name: Plain<'_>) -> Read<usize> {
        let name = word(name)?;
        let found = self.dialects.iter().position(|dialect| &*dialect.name == name);
        found.ok_or_else(|| format!("dialects: {name} is missing"))
    }

    fn dialect(&mut self, table: Plain<'_>) -> Read<Dialect> {
        let rules = items(table, "rules")?.iter().map(|rule| self.rule(*rule)).collect::<Read<_>>()?;
        let carried = items(table, "carried")?.iter().map(|key| Ok(self.number(word(*key)?))).collect::<Read<_>>()?;
        let unwanted = items(table, "moved")?.iter().chain(items(table, "dropped")?);
        Ok(Dialect {
            name: word(member(table, "dialect")?)?.into(),
            is_json: word(member(table, "encoded")?)? == "json",
            rules,
            carried,
            unwanted: unwanted.map(|one| Ok(word(*one)?.into())).collect::<Read<_>>()?,
        })
    }

    fn rule(&mut self, rule: Plain<'_>) -> Read<Rule> {
        let from = items(rule, "from")?.iter().map(|one| self.source(*one)).collect::<Read<Vec<_>>>()?;
        let mut when = Vec::new();
        for condition in items(rule, "when")? {
            let (source, test) = match condition.items() {
                [source, Plain::Text("present")] => (source, Test::Present),
                [source, Plain::Text("absent")] => (source, Test::Absent),
                [source, Plain::Text("in"), wanted] => (source, Test::OneOf(words(*wanted)?)),
                _ => return Err("when: has another form".into()),
            };
            when.push(Condition { source: self.source(*source)?, test });
        }
        Ok(Rule {
            to: self.number(word(member(rule, "to")?)?),
            kind: Type::named(word(member(rule, "type")?)?),
            needs: needs(&from),
            from,
            value: rule.get("value").map(constant),
            is_sum: flag(rule, "sum")?,
            replaces: flag(rule, "replace")?,
            when,
            steps: items(rule, "steps")?.iter().map(|step| conversion(*step)).collect::<Read<_>>()?,
        })
    }

    fn source(&mut self, source: Plain<'_>) -> Read<Source> {
        let key = word(member(source, "key")?)?;
        let place = match (word(member(source, "kind")?)?, key) {
            ("attribute", _) => Place::Attribute,
            ("tree", _) => Place::Tree(self.tree(key)),
            ("event", _) => Place::Events { is_whole_name: true },
            ("events", _) => Place::Events { is_whole_name: false },
            ("span", "name") => Place::SpanName,
            ("span", _) => Place::SpanIsRoot,
            ("scope", _) => Place::ScopeName,
            ("resource", _) => Place::Resource,
            ("object", _) => {
                let fields = pairs(member(source, "fields")?)?.iter();
                Place::Object(fields.map(|(name, one)| Ok(((*name).into(), self.source(*one)?))).collect::<Read<_>>()?)
            }
            (kind, _) => return Err(format!("sources: kind is unknown (seen: {kind})")),
        };
        Ok(Source { place, key: self.number(key), path: path(member(source, "path")?)? })
    }

    fn tree(&mut self, pattern: &str) -> usize {
        let prefix = pattern.strip_suffix('*').unwrap_or(pattern);
        if let Some(index) = self.trees.iter().position(|(known, _)| **known == *prefix) {
            return index;
        }
        let number = self.number(pattern);
        self.trees.push((prefix.into(), number));
        self.trees.len() - 1
    }
}

/// Whether `pattern` ends in `*` and `text` begins as it does.
pub fn begins(text: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').is_some_and(|prefix| text.starts_with(prefix))
}

fn needs(from: &[Source]) -> Option<Vec<Need>> {
    let mut needs = Vec::new();
    for source in from {
        let parts: Vec<&Source> = match &source.place {
            Place::Object(fields) => fields.iter().map(|(_, part)| part).collect(),
            _ => vec![source],
        };
        for part in parts {
            needs.push(match part.place {
                Place::Attribute => Need::Attribute(part.key),
                Place::Tree(tree) => Need::Tree(tree),
                Place::Events { .. } => Need::Events,
                _ => return None,
            });
        }
    }
    (!needs.is_empty()).then_some(needs)
}

fn conversion(step: Plain<'_>) -> Read<Conversion> {
    Ok(match step.items() {
        [Plain::Text("decode")] => Conversion::Decode,
        [Plain::Text("where"), field, wanted] => {
            Conversion::Where { field: word(*field)?.into(), wanted: words(*wanted)? }
        }
        [Plain::Text("split"), separator] => Conversion::Split(word(*separator)?.into()),
        [Plain::Text("messages"), role] => Conversion::Messages { role: word(*role)?.into() },
        [Plain::Text("documents"), _] => Conversion::Documents,
        [Plain::Text("tools"), _] => Conversion::Tools,
        [Plain::Text("column"), steps] => Conversion::Column(path(*steps)?),
        [Plain::Text("count")] => Conversion::Count,
        [Plain::Text("map"), map, Plain::Bool(is_dotted)] => {
            Conversion::Map { words: dictionary(*map)?, is_dotted: *is_dotted }
        }
        [Plain::Text("scale"), Plain::Float(factor)] => Conversion::Scale(*factor),
        [Plain::Text("since_start")] => Conversion::SinceStart,
        _ => return Err(format!("steps: {} is unknown", step.dump(&Bump::new()))),
    })
}

fn constant(value: Plain<'_>) -> Constant {
    match value {
        Plain::Bool(value) => Constant::Bool(value),
        Plain::Int(value) => Constant::Int(value),
        Plain::Float(value) => Constant::Float(value),
        Plain::Text(text) => Constant::Text(text.into()),
        _ => Constant::Other,
    }
}

fn words(value: Plain<'_>) -> Read<Vec<Box<str>>> {
    value.items().iter().map(|one| Ok(word(*one)?.into())).collect()
}

fn path(value: Plain<'_>) -> Read<Vec<Step>> {
    value.items().iter().map(|step| Ok(Step::new(word(*step)?))).collect()
}

pub(crate) fn member<'s>(value: Plain<'s>, key: &str) -> Read<Plain<'s>> {
    value.get(key).ok_or_else(|| format!("dialects: {key} is missing"))
}

pub(crate) fn items<'s>(value: Plain<'s>, key: &str) -> Read<&'s [Plain<'s>]> {
    match member(value, key)? {
        Plain::List(items) => Ok(items),
        _ => Err(format!("dialects: {key} is no list")),
    }
}

pub(crate) fn pairs(value: Plain<'_>) -> Read<&[Pair<'_>]> {
    match value {
        Plain::Dict(pairs) => Ok(pairs),
        _ => Err("dialects: an object is missing".into()),
    }
}

pub(crate) fn word(value: Plain<'_>) -> Read<&str> {
    value.text().ok_or_else(|| "dialects: a text is missing".into())
}

fn flag(value: Plain<'_>, key: &str) -> Read<bool> {
    match member(value, key)? {
        Plain::Bool(value) => Ok(value),
        _ => Err(format!("dialects: {key} is neither true nor false")),
    }
}
