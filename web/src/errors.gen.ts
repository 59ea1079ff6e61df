/* Written by gen-errors.mjs from src/base/errors.def; don't edit. */
import { WfError } from "./error.ts";

/** Memory could not be had. */
export class WfMemoryError extends WfError {
  override name = "WfMemoryError";
}

/** The bytes break the rules of their format. */
export class WfFormatError extends WfError {
  override name = "WfFormatError";
}

/** The input ends before it is complete. */
export class WfTruncatedError extends WfError {
  override name = "WfTruncatedError";
}

/** Valid input that this version cannot process. */
export class WfUnsupportedError extends WfError {
  override name = "WfUnsupportedError";
}

/** A tensor, key or option that is needed is not there. */
export class WfMissingError extends WfError {
  override name = "WfMissingError";
}

/** Shapes or sizes that do not fit together. */
export class WfShapeError extends WfError {
  override name = "WfShapeError";
}

/** An argument outside its range. */
export class WfArgumentError extends WfError {
  override name = "WfArgumentError";
}

/** A call in the wrong order. */
export class WfStateError extends WfError {
  override name = "WfStateError";
}

/** The operating system or the network refused. */
export class WfIoError extends WfError {
  override name = "WfIoError";
}

/** A measured error above the permitted one. */
export class WfLossError extends WfError {
  override name = "WfLossError";
}

/** A download that failed. */
export class WfNetworkError extends WfError {
  override name = "WfNetworkError";
}

/** Bytes that differ from what was promised. */
export class WfIntegrityError extends WfError {
  override name = "WfIntegrityError";
}
