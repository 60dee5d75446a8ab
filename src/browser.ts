/**
 * @file The public API in a browser: all that `import { … } from "sextant/browser"` gives. Nothing here needs Node, and ONNX Runtime is what the page
 * hands over.
 */

// Models and tokenizers from files that the page has, or from a server.
export { loadModelFromFiles, loadTokenizerFromFiles, type BrowserLoadOptions } from "./browser/load-files.js";
export { filesByName, type GivenFile, type GivenFiles } from "./browser/given-files.js";
export { fetchModelFiles } from "./browser/fetch-files.js";
export type { WebDevice, WebRuntime } from "./browser/web-host.js";

// What a model does.
export type {
  Cost,
  Forecast,
  ForwardRequest,
  ForwardResult,
  GeneratedToken,
  GenerateOptions,
  GenerateRequest,
  GenerateResult,
  LogitsRequest,
  Model,
  PausedRun,
  Progress,
  RunOptions,
  Sampling,
} from "./runtime/model.js";
export type { SweepRequest, SweepResult } from "./runtime/sweep/request.js";
export type { GradientRequest, GradientResult, Metric } from "./runtime/gradient/request.js";
export type { Edit, EditKind, Operation, Positions, ScheduledEdit, Selector, Values } from "./runtime/edit.js";
export { isPointName, POINT_NAMES, POINTS, type PointName, type PointRow } from "./models/points.js";
export { expandAddresses, parseAddress, type Place } from "./models/address.js";
export { MODEL_TYPES } from "./models/read-spec.js";
export type { LayerSpec, ModelSpec } from "./models/spec.js";

// Text, tensors and errors.
export { checkVocabulary, type Encoding, type Tokenizer } from "./formats/make-tokenizer.js";
export { encodeChat, renderChat, type ChatMessage, type ChatOptions } from "./formats/chat.js";
export { sizeOf, stridesOf, tensor, type Tensor, type TensorData } from "./base/tensor.js";
export { isSextantError, SextantError, type ErrorKind, type Refusal } from "./base/errors.js";

// Analyses and charts.
export { logitLens, type LensRequest, type LensRow } from "./analyses/lens.js";
export { standingOf, topTokens, type TokenStanding } from "./analyses/probabilities.js";
export { ablateHeads, headsOf, patternOf, scoreHead, scoreHeads, type HeadScores, type ScoredHead } from "./analyses/heads.js";
export { heatMapSvg } from "./charts/heat-map.js";
export { tokenMapSvg, type TokenCell, type TokenMapOptions } from "./charts/token-map.js";
export type { MapOptions, MapPanel } from "./charts/panels.js";
export { barsSvg, type Bar, type BarsOptions } from "./charts/bars.js";
export { curveSvg, type CurveSvgOptions } from "./charts/curve.js";
export { attentionPattern, type AttentionPatternOptions } from "./charts/attention-pattern.js";
