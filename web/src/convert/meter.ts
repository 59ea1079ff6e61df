/* One growing number out of the converter's phases. Each type is measured by two or three passes over
   all tensors (the source in doubles, the result, with Q8_0 and int8 once more with int8 rows); then the file is
   hashed and written. Calibration looks at the pictures and at the matrices first, and may go on trying for a while. */
import type { ConvertProgress } from "../types.ts";

const MESSAGE_MS = 30;

export class Meter {
  private phase = "";
  private done = 0;
  private pass = -1;
  private fraction = 0;
  private said = -Infinity;
  private readonly passes: number;

  constructor(
    type: string,
    calibrated: boolean,
    private readonly say: (progress: ConvertProgress) => void,
  ) {
    this.passes = (type === "q8_0" || type === "int8" ? 3 : 2) + 2 + (calibrated ? 6 : 0);
  }

  step(phase: string, done: number, total: number): void {
    const next = phase !== this.phase || done < this.done;
    const known = phase === "measuring" || phase === "hashing" || phase === "writing";
    if (next && !(phase === this.phase && !known)) {
      this.pass++;
      this.phase = phase;
    }
    this.done = done;
    const fraction = (this.pass + (total > 0 ? done / total : 0)) / this.passes;
    this.fraction = Math.max(this.fraction, Math.min(fraction, 1));
    const now = performance.now();
    if (next || now - this.said >= MESSAGE_MS) {
      this.said = now;
      this.say({ phase: known ? phase : "calibrating", fraction: this.fraction });
    }
  }
}
