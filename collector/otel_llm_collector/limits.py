"""Every limit of the collector, with what happens when it is reached. Each reaching is counted."""

from __future__ import annotations

MIB = 1024 * 1024

# reject: 413 / RESOURCE_EXHAUSTED, not retryable (OTLP 1.11 recommends 64 MiB after decompression)
MAX_REQUEST_BYTES = 64 * MIB

# retry later: the bytes of all requests being received or processed at one time; over it senders get 503 / UNAVAILABLE
MAX_IN_FLIGHT_BYTES = 256 * MIB

# discard: what is left of a request that is refused for its size is read and thrown away up to this many bytes, so that
# its sender gets to see the answer; after that the connection is closed
MAX_DISCARDED_BYTES = 128 * MIB

# thread: requests from this size on are decompressed and processed off the event loop, so that health checks go on
INLINE_REQUEST_BYTES = 128 * 1024

# reject: gRPC calls handled at one time; further ones get RESOURCE_EXHAUSTED from the transport
MAX_CONCURRENT_CALLS = 256

# wait: bodies decompressed or read as JSON at one time; until they are, nobody knows how large they become
MAX_DECODED_AT_ONCE = 2

# close: an HTTP connection on which the head of a request is not complete after so many seconds or bytes; over so many
# connections, further ones get 503
MAX_HEAD_SECONDS = 15.0
MAX_HEAD_BYTES = 128 * 1024
MAX_HTTP_CONNECTIONS = 1024

# close: a request whose body takes longer than this to arrive is given up with 408
MAX_BODY_SECONDS = 60.0

# drop_oldest: a reader that is behind loses the oldest records, counted per destination as dropped
MEMORY_LOG_BYTES = 256 * MIB

# reject: a response larger than this is not read further (OTLP 1.11: 4 MiB recommended)
MAX_RESPONSE_BYTES = 4 * MIB

# split: a request to a destination is cut into several below this size
MAX_EXPORT_BYTES = 4 * MIB - 64 * 1024

# overflow: further label sets of a metric are added to its series labelled otel_metric_overflow="true"
MAX_SERIES_PER_METRIC = 2000

# truncate: longer label values are cut, so that one hostile attribute cannot grow every scrape
MAX_LABEL_CHARS = 128

# drop_oldest: how far rules and queries can look back, and how often series are sampled for them
WINDOW_SECONDS = 6 * 3600.0
WINDOW_RESOLUTION_SECONDS = 15.0

# overflow: counters and histograms beyond are summed in their metric's series labelled otel_metric_overflow="true",
# samples of all else are dropped and counted as series_limit
MAX_WINDOW_SERIES = 100_000
MAX_WINDOW_SERIES_PER_NAME = 20_000

# reject: series beside those that hold what overflows, one for each metric and bucket; further ones are counted
MAX_OVERFLOW_SERIES = 4096

# forget: streams without series of their own whose last point is remembered; one that is forgotten begins anew
MAX_OVERFLOW_STREAMS = 50_000

# how often the window is written to disk, where it is
WINDOW_SAVE_SECONDS = 300.0

# drop_oldest: the files of the window together; blocks beyond are not saved, and counted
MAX_WINDOW_FILE_BYTES = 1024 * MIB

# reject: a file that claims to hold more is set aside
MAX_WINDOW_BLOCK_BYTES = 4096 * MIB

# reject: a sample whose time lies further ahead than this is dropped and counted as future
MAX_FUTURE_SECONDS = 600

# drop: a point with more labels than this is dropped and counted as too_many_labels
MAX_LABELS = 64

# truncate: longer label values of incoming metrics are cut
MAX_SERIES_LABEL_CHARS = 1024

# forget: resources of which the labels are remembered between requests; they are worked out again
MAX_REMEMBERED_TARGETS = 10_000

# count again: spans that budgets remember to have counted, the newest of them
MAX_COUNTED_SPANS = 2_000_000

# overflow: further groups of a budget are added up in one group named (other)
MAX_BUDGET_GROUPS = 1000

# reject: a threshold above this share of a budget is refused
MAX_BUDGET_THRESHOLD = 100

# drop: alerts of one span rule at one time; hits with further labels are dropped and counted
MAX_SPAN_ALERTS = 1000

# look again: spans that span rules remember to have seen
MAX_REMEMBERED_SPANS = 10_000

# drop_oldest: what objectives (SLOs) look back on, and how often it is sampled; further series are dropped
LONG_SECONDS = 4 * 86400.0
LONG_RESOLUTION_SECONDS = 300.0
MAX_LONG_SERIES = 1000

# skip: one request in so many seconds is looked at for exemplars, none that is larger than this
EXEMPLAR_SECONDS = 1.0
MAX_EXEMPLAR_REQUEST_BYTES = 1 * MIB

# reject: silences at one time; a further one is answered with 400
MAX_SILENCES = 1000

# forget: provider calls that are remembered across requests, so that each counts once; a call that began before what is
# remembered counts, and is noted as layers_forgotten
MAX_REMEMBERED_CALLS = 100_000

# forget: calls are remembered for this many seconds of event time
REMEMBERED_CALL_SECONDS = 600

# reject: distinct (provider, model, day, tier) prices remembered; the oldest leave first
MAX_CACHED_RATES = 4096

# reject: retries of one parcel end after this many seconds and the parcel is dropped with a reason
MAX_RETRY_SECONDS = 300.0

# drop: requests spent on isolating the items of one request that a backend refuses; what is left then is dropped whole
MAX_BISECT_REQUESTS = 64

# drop: a backend that took no part of such a request gets the next ones whole for this long
BISECT_PAUSE_SECONDS = 60.0

# wait: after this many failures in a row one request at a time tries a backend, and the others wait
BREAKER_FAILURES = 5

# drop_oldest: dead letters of a destination, in files of this size each, and this many
DEAD_LETTER_BYTES = 64 * MIB
DEAD_LETTER_FILES = 5

# decide early: traces that a destination waits for, and the bytes of the log that it holds for them
MAX_HELD_TRACES = 50_000
MAX_HELD_BYTES = 256 * MIB

# each as it came: requests of a reader that is behind are sent together up to this size and number
MERGE_BYTES = MIB
MERGE_RECORDS = 512

# wait for company: a small request, so long in seconds, when another one of its destination is under way or just went
MERGE_SECONDS = 0.05

# forget the oldest: verdicts remembered for spans that come late; forgotten, they are judged as a trace of their own
MAX_DECIDED_TRACES = 100_000

# forget the oldest: services whose rate a sampling policy remembers
MAX_SAMPLED_SERVICES = 1000

# pass by: requests that wait for a processing plug-in; more pass it unedited, counted as timeout
MAX_PLUGIN_QUEUE = 32

# pass by: threads of a plug-in that did not come back; with so many of them it is not asked any more
MAX_STUCK_THREADS = 4

# once: a plug-in that raises is described in the log so often, in seconds; every time is counted
PLUGIN_LOG_SECONDS = 10.0

# cancel: what is still unsent when a shutdown has lasted this long is given up and counted
SHUTDOWN_SECONDS = 5.0

# truncate: a backend that asks for a longer pause before the next try is asked again after this many seconds
MAX_RETRY_AFTER_SECONDS = 300.0

# drop_oldest or reject, as log.when_full says: the payloads that the log on disk keeps
DISK_LOG_BYTES = 10 * 1024 * MIB

# drop_oldest: what no destination could take for a week is given up
DISK_LOG_SECONDS = 7 * 86400.0

# read again: the newest records on disk are also held in memory up to this size, for the readers that keep up
DISK_LOG_TAIL_BYTES = 32 * MIB

# look up again: attribute names whose way through a profile is remembered; further ones are looked up each time
MAX_PROFILE_NAMES = 4096

# forget: traces whose ids are remembered for scores that come later; the oldest leave first, their scores are refused
MAX_OPIK_TRACES = 1_000_000

# rotate: a file of the `file` destination is closed at this size, and the oldest files go
FILE_BYTES = 100 * MIB
FILES = 10

# rotate: an archive of the `comet` destination is closed at this size
COMET_ARCHIVE_BYTES = 10 * MIB
# block: with more archives in its folder the destination `comet` writes nothing until some are removed
COMET_FOLDER_BYTES = 1024 * MIB
# block: with more in its folder the destination `wandb_runs` writes nothing until some runs are removed
WANDB_FOLDER_BYTES = 1024 * MIB
# read again: runs whose file the destination `wandb_runs` knows by heart; the oldest leave first
MAX_OPEN_RUNS = 100
# write again: points of a run that `wandb_runs` does not write twice; the oldest leave first
MAX_REMEMBERED_POINTS = 100_000
# rotate: with more open archives the one of `comet` that was written longest ago is closed
MAX_OPEN_ARCHIVES = 200
# refuse: experiments of services that `comet` makes, and names of metrics of each; further ones are dropped and counted
MAX_COMET_EXPERIMENTS = 1000
MAX_COMET_NAMES = 2000
# flush: with more calls and points in open intervals all of them are told early
MAX_COMET_ROWS = 200_000
# count again: intervals that the destination `comet` knows to have told; for older ones points come twice
MAX_COMET_INTERVALS = 10_000

# look up again: runs of experiments that a tracker is known to have; the oldest leave first
MAX_TRACKED_RUNS = 10_000

# keep: JSON longer than this inside one attribute of another dialect is not read; the attribute stays, counted
MAX_ATTRIBUTE_JSON_BYTES = 8 * MIB

# truncate: of one span this many oddities of its dialect are named on it and counted
MAX_DIALECT_PROBLEMS = 16

# reject: samples that one query may read and make together; over it the query fails
MAX_QUERY_SAMPLES = 20_000_000

# reject: points per series that one range query may ask for (Prometheus' own bound)
MAX_QUERY_POINTS = 11_000

# reject: a query that takes longer than this many seconds is given up with a timeout
MAX_QUERY_SECONDS = 30.0

# queue: queries of the HTTP API that are evaluated at one time; further ones wait
MAX_CONCURRENT_QUERIES = 4

# reject: queries that may wait or run at one time; further ones get 503
MAX_WAITING_QUERIES = 64

# reject: a posted query, and its parameters
MAX_QUERY_BYTES = MIB
MAX_QUERY_FIELDS = 1000

# reject: a query that makes a longer label value than this fails
MAX_QUERY_LABEL_CHARS = 65_536
# split: a request becomes several Kafka messages below this size, which brokers allow by default
KAFKA_MESSAGE_BYTES = 1_000_000

# pause: what a reader of the Kafka log has read ahead of its destination
KAFKA_READ_AHEAD_BYTES = 8 * MIB

# retry later: senders are told to come again when the brokers have not taken their request after this many seconds
KAFKA_SECONDS = 10.0

# read on: messages taken at one time when records of the Kafka log are fetched again
KAFKA_FETCH_MESSAGES = 64

# begin again: series of deltas whose totals are remembered for remote write; one that is forgotten begins at 0
MAX_DELTA_SERIES = 100_000
