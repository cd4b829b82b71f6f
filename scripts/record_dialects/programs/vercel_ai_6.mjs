// /// script
// dependencies = ["ai@6", "@ai-sdk/openai@3", "@ai-sdk/cohere@3", "@opentelemetry/sdk-trace-node", "@opentelemetry/exporter-trace-otlp-proto", "zod@3"]
// [tool.record]
// dialect = "vercel_legacy"
// scenarios = ["chat", "chat_stream", "tools", "embeddings", "error", "cached_reasoning", "agent", "object", "rerank"]
// sets = ["session", "user"]
// also.vercel_ai_5.environment = "vercel_ai_5"
// also.vercel_ai_5.dependencies = ["ai@5", "@ai-sdk/openai@2", "@opentelemetry/sdk-trace-node", "@opentelemetry/exporter-trace-otlp-proto", "zod@3"]
// also.vercel_ai_5.scenarios = ["chat", "chat_stream", "tools", "embeddings", "error", "cached_reasoning", "agent", "object"]
// also.vercel_ai_4.environment = "vercel_ai_4"
// also.vercel_ai_4.dependencies = ["ai@4", "@ai-sdk/openai@1", "@opentelemetry/sdk-trace-node", "@opentelemetry/exporter-trace-otlp-proto", "zod@3"]
// also.vercel_ai_4.scenarios = ["chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning", "agent", "object"]
// also.vercel_ai_3.environment = "vercel_ai_3"
// also.vercel_ai_3.dependencies = ["ai@3", "@ai-sdk/openai@0", "@opentelemetry/sdk-trace-node", "@opentelemetry/exporter-trace-otlp-proto", "zod@3"]
// also.vercel_ai_3.scenarios = ["chat", "chat_stream", "tools", "embeddings", "error", "agent", "object"]
// ///
// Vercel's AI SDK 3 to 6, which write their spans themselves; the library's name says which version.

import { createOpenAI } from "@ai-sdk/openai";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import * as ai from "ai";
import { z } from "zod";

const version = Number(process.env.RECORDED_LIBRARY.split("_").at(-1));
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] });
provider.register();

const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "none", compatibility: "strict" });
const common = {
  experimental_telemetry: {
    isEnabled: true,
    functionId: "assistant",
    metadata: { sessionId: "session-1", userId: "user-1" },
  },
  maxRetries: 0,
};
const renamed = (tokens) => (version >= 5 ? { maxOutputTokens: tokens } : { maxTokens: tokens });
const steps = (count) => (version >= 5 ? { stopWhen: ai.stepCountIs(count) } : { maxSteps: count });

const context =
  "You answer from the context.\n" +
  "The OTLP receiver listens on port 4317 for gRPC.\n" +
  "Over HTTP the default port of OTLP is 4318.\n" +
  "A span describes one operation and its duration.";
const question = "Which port does OTLP use over HTTP?";
const long = `${context}\n${[...Array(30).keys()].map((n) => `Fact number ${n} is about nothing in particular.`).join("\n")}`;
const pixel = Buffer.from("\x89PNG\r\n\x1a\n not a real picture", "latin1");
const schema = z.object({ city: z.string() });
const tool = (description, execute) =>
  ai.tool({ description, ...(version >= 5 ? { inputSchema: schema } : { parameters: schema }), execute });
const get_weather = tool("The weather in a city.", async ({ city }) => `The weather in ${city} is sunny, 24 degrees.`);
const get_population = tool("How many people live in a city.", async ({ city }) => `About 550000 people live in ${city}.`);
const documents = [
  "Over HTTP the default port of OTLP is 4318.",
  "The OTLP receiver listens on port 4317 for gRPC.",
  "A span describes one operation and its duration.",
];

const scenarios = {
  chat: () =>
    ai.generateText({
      ...common, model: openai.chat("gpt-4o-mini"), system: context, prompt: question,
      temperature: 0.5, topP: 0.9, ...renamed(200), seed: 7, stopSequences: ["END"],
    }),
  chat_stream: async () => {
    const result = await ai.streamText({ ...common, model: openai.chat("gpt-4o-mini"), system: context, prompt: question });
    for await (const _ of result.textStream);
  },
  tools: () =>
    ai.generateText({
      ...common, model: openai.chat("gpt-4o-mini"), prompt: "What is the weather in Lisbon?",
      tools: { get_weather }, ...steps(3),
    }),
  multimodal: () =>
    ai.generateText({
      ...common, model: openai.chat("gpt-4o-mini"),
      messages: [{
        role: "user",
        content: [
          { type: "text", text: "What do these pictures show?" },
          { type: "image", image: new URL("https://example.test/cat.png"), mimeType: "image/png" },
          { type: "image", image: pixel, mimeType: "image/png" },
        ],
      }],
    }),
  embeddings: () =>
    ai.embedMany({
      ...common, model: openai.embedding("text-embedding-3-small", { dimensions: 4 }), values: [question, "What is a span?"],
      providerOptions: { openai: { dimensions: 4 } },
    }),
  error: () =>
    ai.generateText({
      ...common, model: openai.chat("gpt-4o-mini"), system: context, prompt: question, temperature: 3,
    }).catch(() => undefined),
  cached_reasoning: async () => {
    for (const prompt of [question, "What does a span describe?"])
      await ai.generateText({
        ...common, model: openai.chat("o4-mini"), system: long, prompt,
        providerOptions: { openai: { reasoningEffort: "low", systemMessageMode: "system" } },
      });
  },
  agent: () =>
    ai.generateText({
      ...common, model: openai.chat("gpt-4o-mini"),
      prompt: "What is the weather and how many people live in Lisbon?",
      tools: { get_weather, get_population }, ...steps(5),
    }),
  object: () =>
    ai.generateObject({
      ...common, model: openai.chat("gpt-4o-mini"), system: context, prompt: question,
      schema: z.object({ answer: z.string() }),
    }).catch(() => undefined),
  rerank: async () => {
    const { createCohere } = await import("@ai-sdk/cohere");
    const cohere = createCohere({ baseURL: `${process.env.MODEL_URL}/v2`, apiKey: "none" });
    await ai.rerank({ ...common, model: cohere.reranking("rerank-v3.5"), query: question, documents, topN: 2 });
  },
};

await scenarios[process.argv[2]]();
await provider.forceFlush();
await provider.shutdown();
