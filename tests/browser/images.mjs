// Pictures in a page: every kind of source gives the very scores that its raw pixels give; EXIF orientation, transparency,
// large pictures; and the sentences for what cannot be read.
import { readFileSync } from "node:fs";
import { attempt, check, finish, tinyModel } from "../web/lib/web.mjs";
import { launch, serve, withPage } from "./lib/browser.mjs";

const model = readFileSync(tinyModel());
const pictures = new Map();
const server = await serve((path, request) => {
  if (path === "model.gguf") return { body: model };
  const bytes = pictures.get(path.replace("no-cors/", ""));
  return (
    bytes && {
      body: bytes,
      headers: {
        "content-type": "image/png",
        "cross-origin-resource-policy": "cross-origin",
        ...(path.startsWith("no-cors/")
          ? {}
          : { "access-control-allow-origin": request.headers.origin ?? "*" }),
      },
    }
  );
});
const browser = await launch();

/* Runs in the page: a picture with no symmetry, as canvas and as pixels. */
const setUp = async (worker) => {
  globalThis.model = await wasmformer.load("model.gguf", { worker });
  globalThis.paint = (width = 120, height = 80) => {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const gradient = context.createLinearGradient(0, 0, width, height);
    ["#e02010", "#20c040", "#1030d0"].forEach((colour, i) => gradient.addColorStop(i / 2, colour));
    context.fillStyle = gradient;
    context.fillRect(0, 0, width, height);
    context.fillStyle = "#fff";
    context.fillRect(width * 0.1, height * 0.1, width * 0.2, height * 0.3);
    context.fillStyle = "#000";
    context.fillRect(width * 0.6, height * 0.7, width * 0.3, height * 0.1);
    return canvas;
  };
  globalThis.pixelsOf = (canvas) =>
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  globalThis.scores = async (image) =>
    JSON.stringify(await model.classify(image, { topk: 10, raw: true }));
  globalThis.blobOf = (canvas, type, quality) =>
    new Promise((resolve) => canvas.toBlob(resolve, type, quality));
  globalThis.errorOf = (promise) =>
    promise.then(
      () => "no error",
      (e) => `${e.name}: ${e.message}`,
    );
};

await attempt("the picture for elements", () =>
  withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
    await page.evaluate(setUp, true);
    const bytes = await page.evaluate(async () => [
      ...new Uint8Array(await (await blobOf(paint(), "image/png")).arrayBuffer()),
    ]);
    pictures.set("picture.png", Buffer.from(bytes));
  }),
);

for (const worker of [true, false]) {
  const on = worker ? "worker" : "the page's thread";
  await attempt(`sources (${on})`, () =>
    withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
      await page.evaluate(setUp, worker);
      const results = await page.evaluate(async () => {
        const canvas = paint();
        const data = pixelsOf(canvas);
        const rgb = new Uint8Array(data.width * data.height * 3).map(
          (_, i) => data.data[Math.floor(i / 3) * 4 + (i % 3)],
        );
        const png = await blobOf(canvas, "image/png");
        const element = async (set) => {
          const image = new Image();
          set?.(image);
          image.src = "picture.png";
          await image.decode();
          return image;
        };
        const off = new OffscreenCanvas(120, 80);
        off.getContext("2d").drawImage(canvas, 0, 0);
        const bitmap = await createImageBitmap(canvas);
        const loading = new Image();
        loading.src = "picture.png?again";
        const sources = {
          ImageData: data,
          "{data, width, height} RGB": { data: rgb, width: 120, height: 80 },
          canvas,
          OffscreenCanvas: off,
          ImageBitmap: bitmap,
          Blob: png,
          File: new File([png], "p.png"),
          address: "picture.png",
          URL: new URL("picture.png", location.href),
          "data address": canvas.toDataURL(),
          "blob address": URL.createObjectURL(png),
          HTMLImageElement: await element(),
          "HTMLImageElement that still loads": loading,
          VideoFrame: new VideoFrame(canvas, { timestamp: 0 }),
        };
        const expected = await scores({ data: rgb, width: 120, height: 80 });
        const got = [];
        for (const [name, source] of Object.entries(sources))
          got.push([name, await scores(source).catch((e) => String(e)), expected]);
        got.push(["ImageBitmap again: it was not taken", await scores(bitmap), expected]);
        const frame = new VideoFrame(canvas, { timestamp: 1 });
        const call = scores(frame);
        frame.close();
        got.push(["VideoFrame closed right after the call", await call, expected]);
        const changing = paint();
        const late = scores(changing);
        changing.getContext("2d").clearRect(0, 0, 120, 80);
        got.push(["canvas changed right after the call", await late, expected]);
        got.push([
          "a batch of several kinds",
          JSON.stringify(
            (await model.classify([canvas, png, data], { topk: 10, raw: true })).map((s) =>
              JSON.stringify(s),
            ),
          ),
          JSON.stringify([expected, expected, expected]),
        ]);
        return got;
      });
      const close = (a, b) =>
        JSON.parse(a).every(
          (v, i) =>
            v.index === JSON.parse(b)[i].index && Math.abs(v.score - JSON.parse(b)[i].score) < 0.05,
        );
      // A video frame may be held as YUV, which is not the same pixels.
      for (const [name, got, expected] of results)
        check(
          `${name} (${on})`,
          got === expected ||
            (name.startsWith("VideoFrame") && got.startsWith("[") && close(got, expected)),
          `${got} and not ${expected}`,
        );
    }),
  );

  await attempt(`a video element (${on})`, () =>
    withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
      await page.evaluate(setUp, worker);
      const [early, late] = await page.evaluate(async () => {
        const video = document.createElement("video");
        const early = await errorOf(model.classify(video));
        const canvas = paint();
        video.srcObject = canvas.captureStream(30);
        video.muted = true;
        const redraw = setInterval(() => canvas.getContext("2d").fillRect(0, 0, 1, 1), 20);
        await video.play();
        const late = await scores(video);
        clearInterval(redraw);
        return [early, late];
      });
      check(
        `a video without a frame: what to wait for (${on})`,
        /WfFormatError.*loadeddata/.test(early),
        early,
      );
      check(`a playing video (${on})`, late.startsWith("[{"), late);
    }),
  );
}

await attempt("orientation", () =>
  withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
    await page.evaluate(setUp, true);
    const results = await page.evaluate(async () => {
      const plain = await blobOf(paint(), "image/jpeg", 0.95);
      const bytes = new Uint8Array(await plain.arrayBuffer());
      // An EXIF segment that says nothing but the orientation, put right behind the start marker.
      const oriented = (n) => {
        const tiff = [
          0x4d,
          0x4d,
          0,
          42,
          0,
          0,
          0,
          8,
          0,
          1,
          0x01,
          0x12,
          0,
          3,
          0,
          0,
          0,
          1,
          0,
          n,
          0,
          0,
          0,
          0,
          0,
          0,
        ];
        const segment = [0xff, 0xe1, 0, 8 + tiff.length, 0x45, 0x78, 0x69, 0x66, 0, 0, ...tiff];
        return new Blob([bytes.subarray(0, 2), new Uint8Array(segment), bytes.subarray(2)], {
          type: "image/jpeg",
        });
      };
      const bitmap = await createImageBitmap(plain);
      const turn = {
        1: [1, 0, 0, 1, 0, 0],
        3: [-1, 0, 0, -1, 120, 80],
        6: [0, 1, -1, 0, 80, 0],
        8: [0, -1, 1, 0, 0, 120],
      };
      const got = [];
      for (const [n, matrix] of Object.entries(turn)) {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = n > 4 ? [80, 120] : [120, 80];
        const context = canvas.getContext("2d");
        context.imageSmoothingEnabled = false;
        context.setTransform(...matrix);
        context.drawImage(bitmap, 0, 0);
        const blob = oriented(Number(n));
        const image = new Image();
        image.src = URL.createObjectURL(blob);
        await image.decode();
        const expected = await scores(pixelsOf(canvas));
        got.push(
          [`${n}, from a Blob`, await scores(blob), expected],
          [`${n}, from an element`, await scores(image), expected],
        );
      }
      return got;
    });
    for (const [name, got, expected] of results)
      check(`EXIF orientation ${name}`, got === expected, `${got} and not ${expected}`);
    check("orientations differ from one another", new Set(results.map((r) => r[2])).size === 4);
  }),
);

await attempt("large and transparent", () =>
  withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
    await page.evaluate(setUp, true);
    const [big, transparent, plain] = await page.evaluate(async () => {
      const canvas = paint(4000, 3000);
      const data = pixelsOf(canvas);
      const same = (await scores(canvas)) === (await scores(data));
      // The reference drops alpha and keeps the colours beneath: an ImageBitmap of non-premultiplied data must too.
      const clear = pixelsOf(paint());
      for (let i = 3; i < clear.data.length; i += 4) clear.data[i] = (i >> 2) % 200;
      const bitmap = await createImageBitmap(clear, { premultiplyAlpha: "none" });
      return [same, await scores(bitmap), await scores(clear)];
    });
    check("12 megapixels in strips = at once", big === true);
    check(
      "colours under transparency are kept",
      transparent === plain,
      `${transparent} and not ${plain}`,
    );
  }),
);

await attempt("what cannot be read", () =>
  withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
    await page.evaluate(setUp, true);
    const errors = await page.evaluate(async (other) => {
      const element = async (src, cors) => {
        const image = new Image();
        if (cors) image.crossOrigin = "anonymous";
        image.src = src;
        await image.decode().catch(() => undefined);
        return image;
      };
      const tainted = document.createElement("canvas");
      tainted.getContext("2d").drawImage(await element(`${other}/plain/no-cors/picture.png`), 0, 0);
      return {
        foreign: await errorOf(model.classify(await element(`${other}/plain/no-cors/picture.png`))),
        canvas: await errorOf(model.classify(tainted)),
        allowed: await errorOf(model.classify(await element(`${other}/plain/picture.png`, true))),
        address: await errorOf(model.classify(`${other}/plain/no-cors/picture.png`)),
        missing: await errorOf(model.classify("none.png")),
        broken: await errorOf(model.classify(await element("none.png"))),
        text: await errorOf(model.classify(new Blob(["hello"], { type: "text/plain" }))),
        odd: await errorOf(model.classify({})),
        number: await errorOf(model.classify(5)),
        still: await errorOf(model.classify(paint())),
      };
    }, server.other);
    const expect = {
      foreign: /WfIoError.*picture\.png.*crossorigin="anonymous"/,
      canvas: /WfIoError.*crossorigin/,
      allowed: /^no error$/,
      address: /WfNetworkError.*picture\.png.*CORS/,
      missing: /WfNetworkError.*none\.png.*404/,
      broken: /WfFormatError.*none\.png.*check its address/,
      text: /WfFormatError.*text\/plain, 5 bytes.*JPEG, PNG or WebP/,
      odd: /WfArgumentError.*a picture must be/,
      number: /WfArgumentError.*a picture must be.*Number/,
      still: /^no error$/,
    };
    for (const [name, pattern] of Object.entries(expect))
      check(`sentence: ${name}`, pattern.test(errors[name]), errors[name]);
  }),
);

await browser.close();
server.close();
finish();
