/**
 * @file The model, in a thread of its own: WebAssembly computes without a pause, and the page would stand still. In a worker dropped files are read
 * piece by piece, and are never whole in memory.
 */
import * as runtime from "onnxruntime-web/wasm";
import {
  checkVocabulary,
  fetchModelFiles,
  isSextantError,
  loadModelFromFiles,
  loadTokenizerFromFiles,
  logitLens,
  tokenMapSvg,
  type LensRow,
  type Model,
  type RunOptions,
  type ScheduledEdit,
  type Tensor,
  type Tokenizer,
} from "sextant/browser";
import type { Event, FromWorker, Generation, ModelFacts, Source, Steering, TaskName, Tasks, ToWorker } from "./messages.js";

/** Layers and positions shown at most, so that the picture can be looked at. */
const MOST_SHOWN = 48;

runtime.env.wasm.wasmPaths = new URL("ort/", globalThis.location.href).href;

let loaded: { readonly model: Model; readonly tokenizer: Tokenizer } | undefined;
let stopper = new AbortController();

/** What a task may use while it runs. */
interface Context extends Required<RunOptions> {
  readonly tell: (event: Event) => void;
}

const tasks: { readonly [N in TaskName]: (asked: Tasks[N]["asked"], context: Context) => Promise<Tasks[N]["answer"]> } = {
  load,
  lens: async ({ text }, context) => ({ svg: await lensPicture(text, context) }),
  generate,
};

globalThis.addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if (data.task === "stop") stopper.abort();
  else void answer(data);
});

async function answer<N extends TaskName>({ id, task, asked }: { id: number; task: N; asked: Tasks[N]["asked"] }): Promise<void> {
  stopper = new AbortController();
  const tell = (event: Event): void => post({ id, event });
  const onProgress: Context["onProgress"] = (progress) => tell({ kind: "progress", ...progress });
  try {
    post({ id, answer: await tasks[task](asked, { tell, onProgress, signal: stopper.signal }) });
  } catch (error) {
    const kind = isSextantError(error) ? error.kind : "internal";
    post({ id, failure: { kind, message: error instanceof Error ? error.message : String(error) } });
  }
}

function post(message: FromWorker): void {
  globalThis.postMessage(message);
}

async function load(source: Source, options: Context): Promise<ModelFacts> {
  const start = performance.now();
  await loaded?.model.close();
  loaded = undefined;
  const files = "url" in source ? await fetchModelFiles(source.url, options) : source.files;
  const model = await loadModelFromFiles(files, { runtime, ...options });
  try {
    const tokenizer = await loadTokenizerFromFiles(files);
    checkVocabulary(tokenizer, model.spec.vocab);
    loaded = { model, tokenizer };
  } finally {
    if (!loaded) await model.close();
  }
  const { layers, dModel, vocab, context } = model.spec;
  const bytes = model.forecast({ tokens: [[0]] }).weightBytes;
  const heads = layers[0]?.attention.heads ?? 0;
  return { layers: layers.length, heads, dModel, vocabulary: vocab, context: context?.length, bytes, ms: performance.now() - start };
}

/** What each layer would say if it were the last, for each token of the text. */
async function lensPicture(text: string, context: Context): Promise<string> {
  const { model, tokenizer } = ready();
  const ids = tokenizer.encode(text).ids;
  const positions = ids.map((_, position) => position).slice(-MOST_SHOWN);
  const [row] = (await logitLens(model, { tokens: [ids], positions }, context)) as [LensRow];
  const layers = row.layers.slice(-MOST_SHOWN).toReversed();
  return tokenMapSvg(
    layers.map(({ cells }) => cells.map(({ top: [best] }) => ({ text: tokenizer.token(best!.token), share: best!.probability }))),
    {
      rowLabels: layers.map(({ layer }) => `layer ${layer}`),
      columnLabels: positions.map((position) => tokenizer.token(ids[position]!)),
      title: "What each layer would say next",
      xLabel: "the text, token by token",
      unit: "probability of the token in the cell",
    },
  );
}

async function generate({ text, maxNew, steering }: Generation, context: Context): Promise<Tasks["generate"]["answer"]> {
  const { model, tokenizer } = ready();
  const ids = tokenizer.encode(text).ids;
  const stream = tokenizer.streamDecoder({ skipSpecialTokens: true, after: ids });
  const edits = steering ? [await steeringEdit(steering, context)] : [];
  const onToken = ({ token }: { readonly token: number }): void => context.tell({ kind: "text", text: stream.push(token) });
  const { tokens } = await model.generate({ tokens: [ids], maxNew, edits }, { ...context, onToken });
  context.tell({ kind: "text", text: stream.end() });
  const made = tokens[0] ?? [];
  return { tokens: made, text: tokenizer.decode(made, { skipSpecialTokens: true }) };
}

/** Adds strength · (stream behind `towards` − stream behind `from`) at every position. */
async function steeringEdit({ towards, from, layer, strength }: Steering, context: RunOptions): Promise<ScheduledEdit> {
  const [there, here] = [await lastStream(towards, layer, context), await lastStream(from, layer, context)];
  return { at: `resid_post.${layer}`, op: "add", vector: Array.from(there, (value, i) => value - here[i]!), strength };
}

/** The residual stream behind a layer at a text's last token. */
async function lastStream(text: string, layer: number, context: RunOptions): Promise<Float32Array> {
  const { model, tokenizer } = ready();
  const address = `resid_post.${layer}`;
  const { activations } = await model.forward({ tokens: [tokenizer.encode(text).ids], read: [address], logits: false }, context);
  return (activations[address] as Tensor<Float32Array>).data.slice(-model.spec.dModel);
}

function ready(): NonNullable<typeof loaded> {
  if (loaded) return loaded;
  throw new Error("no model is loaded yet");
}
