// /// script
// dependencies = ["ai", "@ai-sdk/otel", "@ai-sdk/openai", "@opentelemetry/sdk-trace-node", "@opentelemetry/exporter-trace-otlp-proto", "zod"]
// [tool.record]
// dialect = "vercel"
// environment = "vercel"
// scenarios = ["chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning", "agent"]
// also.vercel_ai_legacy.dialect = "vercel_legacy"
// ///
// Vercel's AI SDK with its OpenTelemetry integration; the library's name says which of the two.

import { createOpenAI } from "@ai-sdk/openai";
import { LegacyOpenTelemetry, OpenTelemetry } from "@ai-sdk/otel";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { embedMany, generateText, registerTelemetry, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const legacy = process.env.RECORDED_LIBRARY.endsWith("legacy");
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] });
provider.register();
registerTelemetry(legacy ? new LegacyOpenTelemetry() : new OpenTelemetry());

const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "none" });
const telemetry = {
  isEnabled: true,
  functionId: "assistant",
  metadata: { sessionId: "session-1", userId: "user-1" },
  recordInputs: true,
  recordOutputs: true,
};
const common = { telemetry, experimental_telemetry: telemetry, maxRetries: 0 };

const context =
  "You answer from the context.\n" +
  "The OTLP receiver listens on port 4317 for gRPC.\n" +
  "Over HTTP the default port of OTLP is 4318.\n" +
  "A span describes one operation and its duration.";
const question = "Which port does OTLP use over HTTP?";
const long = `${context}\n${[...Array(30).keys()].map((n) => `Fact number ${n} is about nothing in particular.`).join("\n")}`;
const pixel = Buffer.from("\x89PNG\r\n\x1a\n not a real picture", "latin1");
const city = z.object({ city: z.string() });
const get_weather = tool({
  description: "The weather in a city.",
  inputSchema: city,
  execute: async ({ city }) => `The weather in ${city} is sunny, 24 degrees.`,
});
const get_population = tool({
  description: "How many people live in a city.",
  inputSchema: city,
  execute: async ({ city }) => `About 550000 people live in ${city}.`,
});

const scenarios = {
  chat: () =>
    generateText({
      ...common, model: openai.chat("gpt-4o-mini"), system: context, prompt: question,
      temperature: 0.5, topP: 0.9, maxOutputTokens: 200, seed: 7, stopSequences: ["END"],
    }),
  chat_stream: async () => {
    const result = streamText({ ...common, model: openai.chat("gpt-4o-mini"), system: context, prompt: question });
    for await (const _ of result.textStream);
  },
  tools: () =>
    generateText({
      ...common, model: openai.chat("gpt-4o-mini"), prompt: "What is the weather in Lisbon?",
      tools: { get_weather }, stopWhen: stepCountIs(3),
    }),
  multimodal: () =>
    generateText({
      ...common, model: openai.chat("gpt-4o-mini"),
      messages: [{
        role: "user",
        content: [
          { type: "text", text: "What do these pictures show?" },
          { type: "file", data: new URL("https://example.test/cat.png"), mediaType: "image/png" },
          { type: "file", data: pixel, mediaType: "image/png" },
        ],
      }],
    }),
  embeddings: () =>
    embedMany({
      ...common, model: openai.embedding("text-embedding-3-small"), values: [question, "What is a span?"],
      providerOptions: { openai: { dimensions: 4 } },
    }),
  error: () =>
    generateText({
      ...common, model: openai.chat("gpt-4o-mini"), system: context, prompt: question, temperature: 3,
    }).catch(() => undefined),
  cached_reasoning: async () => {
    for (const prompt of [question, "What does a span describe?"])
      await generateText({
        ...common, model: openai.chat("o4-mini"), system: long, prompt,
        providerOptions: { openai: { reasoningEffort: "low", systemMessageMode: "system" } },
      });
  },
  agent: () =>
    generateText({
      ...common, model: openai.chat("gpt-4o-mini"),
      prompt: "What is the weather and how many people live in Lisbon?",
      tools: { get_weather, get_population }, stopWhen: stepCountIs(5),
    }),
};

await scenarios[process.argv[2]]();
await provider.forceFlush();
await provider.shutdown();
