/* Errors as classes: one for each line of src/base/errors.def, all of them WfError. They cross the
   border between worker and page as plain objects and are made whole again on the other side. */
import { WfError } from "./error.ts";
import { errorClasses, errorNames } from "./codes.gen.ts";

export { WfError };
export * from "./errors.gen.ts";

export type ErrorCode = (typeof errorNames)[number];

export function fail(code: ErrorCode, where: string, message: string, offset = -1): WfError {
  return new errorClasses[code](code, where, offset, message);
}

export function abortError(): DOMException {
  return new DOMException("The call was stopped by its AbortSignal.", "AbortError");
}

/** What an AbortSignal rejects with: its own reason where it gives one. */
export function abortReason(signal: AbortSignal): unknown {
  const reason: unknown = signal.reason;
  return reason instanceof DOMException && reason.name === "AbortError"
    ? abortError()
    : (reason ?? abortError());
}

/** For options given by plain scripts: an AbortSignal, or nothing. */
export function checkSignal(signal: unknown): void {
  const s = signal as Partial<AbortSignal> | undefined;
  if (s !== undefined && !(typeof s?.aborted === "boolean" && typeof s.addEventListener === "function")) {
    throw fail(
      "ARGUMENT",
      "signal",
      `signal must be an AbortSignal (the signal of an AbortController), not ${
        typeof s === "object" && s !== null ? "another object" : String(s)
      }`,
    );
  }
}

export interface WireError {
  code: string;
  where: string;
  offset: number;
  message: string;
}

/** `where` of errors that are nobody's sentence: a trap, or a fault of ours. */
export const CRASHED = "engine";

export function toWire(error: unknown): WireError {
  if (error instanceof WfError) {
    return { code: error.code, where: error.where, offset: error.offset, message: error.message };
  }
  if (error instanceof DOMException && error.name === "AbortError") {
    return { code: "ABORTED", where: "", offset: -1, message: error.message };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    code: "STATE",
    where: CRASHED,
    offset: -1,
    message: `the engine stopped unexpectedly (${text}); load the model again`,
  };
}

export function fromWire(wire: WireError): Error {
  if (wire.code === "ABORTED") {
    return abortError();
  }
  const code = errorNames.find((name) => name === wire.code) ?? "STATE";
  return fail(code, wire.where, wire.message, wire.offset);
}
