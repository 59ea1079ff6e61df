/* Runs on an engine instance: input in, steps until done, outputs out. A step is cut short after
   `slice` milliseconds' worth of work, so that messages (an abort) and, on a page's own thread,
   clicks and frames get in between. */
import type { Arrivals, Stop } from "./arrivals.ts";
import { Pace } from "./breathe.ts";
import { abortError, fail, WfError } from "./errors.ts";
import type { Instance } from "./instance.ts";
import { strips } from "./pixels.ts";
import { Profiler } from "./profile.ts";
import type { Call, CallResult, WireImage } from "./protocol.ts";
import type { ClassScore, Jigsaw, ModelInfo, Tensor } from "./types.ts";

const DONE = 0;
const NEEDS_BYTES = 1;

export class Runner {
  private budget = 4e6; // multiply-adds; adapted to `slice` after the first step
  private readonly main: number;

  constructor(
    private readonly instance: Instance,
    private readonly info: Pick<ModelInfo, "input" | "image" | "labels" | "outputs">,
    private readonly slice: number,
    private readonly arrivals: Arrivals,
  ) {
    this.main = instance.must(instance.exports.wf_session(instance.putText("")));
    // Memory for a run is there before "ready" is said
    this.prepare(this.main, 1, info.input.height, info.input.width);
  }

  async call(call: Call, stop: Stop): Promise<CallResult> {
    if (call.kind === "classify") {
      return {
        kind: "classify",
        classes: await this.classify(call, call.images, stop),
      };
    }
    if (call.kind === "jigsaw") {
      return { kind: "jigsaw", jigsaw: await this.jigsaw(call.image, call.seed, stop) };
    }
    if (call.kind === "reconstruct") {
      return { kind: "reconstruct", ...(await this.reconstruct(call.image, stop)) };
    }
    if (call.kind === "profile") {
      const { height, width, vocabulary = 0 } = this.info.input;
      this.prepare(this.main, 1, height, width);
      const profiler = new Profiler(
        this.instance,
        this.main,
        vocabulary,
        this.slice,
        this.arrivals,
        stop,
      );
      return { kind: "profile", profile: await profiler.profile(call.runs) };
    }
    return { kind: "run", outputs: await this.numbers(call, stop) };
  }

  /** How much of the run that goes on is done: 0 to 1. */
  fraction(): number {
    return this.instance.exports.wf_fraction(this.main);
  }

  private prepare(session: number, n: number, h: number, w: number): void {
    this.instance.check(this.instance.exports.wf_prepare(session, n, h, w));
  }

  private async steps(session: number, stop: Stop): Promise<void> {
    const { exports } = this.instance;
    this.instance.check(exports.wf_start(session));
    for (;;) {
      this.arrivals.check();
      const { over } = this.arrivals;
      const before = performance.now();
      const progress = exports.wf_step(session, this.budget);
      if (progress === DONE) {
        return;
      }
      if (progress < 0) {
        throw this.instance.error();
      }
      if (progress === NEEDS_BYTES) {
        if (over) {
          throw fail("STATE", "run", "the model has not arrived completely");
        }
        await this.arrivals.more(stop);
        if (stop.stopped) {
          throw abortError();
        }
        continue;
      }
      const ratio = this.slice / Math.max(performance.now() - before, 0.05);
      this.budget = Math.max(1e5, Math.min(1e12, this.budget * Math.min(4, Math.max(0.25, ratio))));
      await this.arrivals.breathe();
      if (stop.stopped) {
        throw abortError();
      }
    }
  }

  // ---- numbers ----

  private async numbers(call: Call & { kind: "run" }, stop: Stop): Promise<Record<string, Tensor>> {
    const { instance } = this;
    const [n = 0, c = 0, h = 0, w = 0] = call.shape;
    if (c !== this.info.input.channels) {
      throw fail(
        "SHAPE",
        call.input,
        `the input has ${c} channels, but the model reads ${this.info.input.channels} (shape ` +
          "is [batch, channels, height, width])",
      );
    }
    const session =
      call.taps.length > 0
        ? instance.must(instance.exports.wf_session(instance.putText(call.taps.join("\n"))))
        : this.main;
    try {
      this.prepare(session, n, h, w);
      instance.floats(instance.exports.wf_input(session), call.data.length).set(call.data);
      await this.steps(session, stop);
      return this.outputs(session);
    } finally {
      if (session !== this.main) {
        instance.exports.wf_session_free(session);
      }
    }
  }

  private outputs(session: number): Record<string, Tensor> {
    const outputs: Record<string, Tensor> = {};
    for (let i = 0; i < this.instance.exports.wf_outputs(session); i++) {
      const { name, isTap, shape } = this.describe(session, i);
      const elements = shape.reduce((a, b) => a * b, 1);
      const pointer = this.instance.must(this.instance.exports.wf_output_read(session, i));
      outputs[isTap ? `act/${name}` : name] = {
        data: this.instance.floats(pointer, elements).slice(),
        shape,
      };
    }
    return outputs;
  }

  private describe(
    session: number,
    index: number,
  ): { name: string; isTap: boolean; shape: number[] } {
    const words = this.instance.words(
      this.instance.must(this.instance.exports.wf_output(session, index)),
      7,
    );
    const [name = 0, isTap = 0, dims = 0, ...shape] = words;
    return { name: this.instance.text(name), isTap: isTap !== 0, shape: shape.slice(0, dims) };
  }

  // ---- pictures ----

  /**
   * A batch that memory cannot hold at once is computed in halves: a picture's result does not
   * depend on its neighbours.
   */
  private room(pictures: number): void {
    const { height, width } = this.info.image ?? this.info.input;
    this.prepare(this.main, pictures, height, width);
  }

  /** Pictures in, as a batch. */
  private async show(images: WireImage[], stop: Stop): Promise<void> {
    this.room(images.length);
    const pace = new Pace(this.slice);
    for (const [index, picture] of images.entries()) {
      await this.picture(picture, index, pace, stop);
    }
  }

  private async classify(
    call: Call & { kind: "classify" },
    images: WireImage[],
    stop: Stop,
  ): Promise<ClassScore[][]> {
    try {
      this.room(images.length);
    } catch (error) {
      if (images.length > 1 && error instanceof WfError && error.code === "MEMORY") {
        const half = images.length >> 1;
        const first = await this.classify(call, images.slice(0, half), stop);
        return first.concat(await this.classify(call, images.slice(half), stop));
      }
      throw error;
    }
    const { shape } = this.describe(this.main, 0);
    if (
      this.instance.exports.wf_outputs(this.main) !== 1 ||
      shape.length !== 2 ||
      this.info.outputs.length > 0
    ) {
      throw fail(
        "UNSUPPORTED",
        "classify",
        "the model gives feature maps or what another task needs, not classes; use run and read its outputs",
      );
    }
    await this.show(images, stop);
    await this.steps(this.main, stop);
    return this.best(images.length, shape[1] ?? 0, call.topk, call.raw).map((list) =>
      call.raw ? list : list.filter(({ score }) => score >= call.threshold),
    );
  }

  private async jigsaw(image: WireImage, seed: number, stop: Stop): Promise<Jigsaw> {
    const { instance } = this;
    await this.show([image], stop);
    instance.check(instance.exports.wf_jigsaw_cut(this.main, seed));
    await this.steps(this.main, stop);
    const pointer = instance.must(instance.exports.wf_jigsaw_place(this.main));
    const [rows = 0, columns = 0, right = 0, rightAlone = 0] = instance.words(pointer, 4);
    const tiles = rows * columns;
    const [order, places, guesses] = [0, 1, 2].map((i) => [
      ...instance.words(pointer + 4 * (4 + i * tiles), tiles),
    ]) as [number[], number[], number[]];
    return { rows, columns, seed, order, places, guesses, right, rightAlone };
  }

  private async reconstruct(
    image: WireImage,
    stop: Stop,
  ): Promise<{ data: Uint8ClampedArray<ArrayBuffer>; width: number; height: number }> {
    await this.show([image], stop);
    await this.steps(this.main, stop);
    const pointer = this.instance.must(this.instance.exports.wf_reconstruct(this.main)) >>> 0;
    const [width = 0, height = 0] = this.instance.words(pointer, 2);
    const data = new Uint8ClampedArray(4 * width * height);
    data.set(this.instance.bytes().subarray(pointer + 8, pointer + 8 + data.length));
    return { data, width, height };
  }

  private async picture(picture: WireImage, index: number, pace: Pace, stop: Stop): Promise<void> {
    const { exports } = this.instance;
    const { width, height } = picture.kind === "bitmap" ? picture.bitmap : picture;
    this.instance.check(exports.wf_image_begin(this.main, index, width, height));
    const rows =
      picture.kind === "bitmap"
        ? strips(picture.bitmap)
        : bands(picture.data, width * picture.channels);
    const channels = picture.kind === "bitmap" ? 4 : picture.channels;
    for (const strip of rows) {
      this.instance.check(
        exports.wf_image_rows(
          this.instance.put(strip.data),
          channels,
          width * channels,
          strip.rows,
        ),
      );
      await pace.step();
      if (stop.stopped) {
        throw abortError();
      }
    }
    this.instance.check(exports.wf_image_end(this.main, index));
    if (picture.kind === "bitmap") {
      picture.bitmap.close();
    }
  }

  private best(images: number, classes: number, topk: number, raw: boolean): ClassScore[][] {
    const { instance } = this;
    const logits = instance.must(instance.exports.wf_output_read(this.main, 0));
    return Array.from({ length: images }, (_, i) => {
      const pointer = instance.must(
        instance.exports.wf_top(logits + i * classes * 4, classes, topk, raw ? 1 : 0),
      );
      const count = instance.words(pointer, 1)[0] ?? 0;
      const pairs = instance.words(pointer + 4, count * 2);
      const scores = instance.floats(pointer + 4, count * 2);
      return Array.from({ length: count }, (__, j) => {
        const index = pairs[2 * j] ?? 0;
        return {
          index,
          label: this.info.labels[index] ?? `class_${index}`,
          score: scores[2 * j + 1] ?? 0,
        };
      });
    });
  }
}

function* bands(
  data: Uint8Array | Uint8ClampedArray,
  stride: number,
): Generator<{ data: Uint8Array | Uint8ClampedArray; rows: number }> {
  const height = data.length / stride;
  const most = Math.max(1, Math.floor((1 << 20) / stride));
  for (let y = 0; y < height; y += most) {
    const rows = Math.min(most, height - y);
    yield { data: data.subarray(y * stride, (y + rows) * stride), rows };
  }
}
