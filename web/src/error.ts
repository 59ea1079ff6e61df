/* The base class of all errors. */

/** What went wrong: a code, the place, and a sentence that says what, where and the mend. */
export class WfError extends Error {
  override name = "WfError"; // not taken from the class: minifiers rename those
  constructor(
    /** The line of the error list that this is: "FORMAT", "TRUNCATED", "MEMORY", … */
    readonly code: string,
    /** File part, tensor, option or address at fault. */
    readonly where: string,
    /** Byte offset in the file, or -1. */
    readonly offset: number,
    message: string,
  ) {
    super(message);
  }
}
