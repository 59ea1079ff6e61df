/* Written by gen-errors.mjs from src/base/errors.def; don't edit. The order of names is that of the engine's codes, from 1. */
import { WfError } from "./error.ts";
import * as errors from "./errors.gen.ts";

export const errorNames = [
  "MEMORY",
  "FORMAT",
  "TRUNCATED",
  "UNSUPPORTED",
  "MISSING",
  "SHAPE",
  "ARGUMENT",
  "STATE",
  "IO",
  "ABORTED",
  "LOSS",
  "NETWORK",
  "INTEGRITY",
] as const;

export const errorClasses = {
  MEMORY: errors.WfMemoryError,
  FORMAT: errors.WfFormatError,
  TRUNCATED: errors.WfTruncatedError,
  UNSUPPORTED: errors.WfUnsupportedError,
  MISSING: errors.WfMissingError,
  SHAPE: errors.WfShapeError,
  ARGUMENT: errors.WfArgumentError,
  STATE: errors.WfStateError,
  IO: errors.WfIoError,
  ABORTED: WfError,
  LOSS: errors.WfLossError,
  NETWORK: errors.WfNetworkError,
  INTEGRITY: errors.WfIntegrityError,
};
