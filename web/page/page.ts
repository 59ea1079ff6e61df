/* The page that `wasmformer bundle` makes: one file that holds engine and model, and classifies whatever picture is dropped,
   chosen, pasted or seen by the camera, also when it is opened from a disk (file:) and without a network. Text out of the
   model reaches the page by textContent only. */
import { load } from "../src/load.ts";
import { support } from "../src/support.ts";
import type { ClassScore, ImageInput, Model, Progress } from "../src/types.ts";
import { asset, model as embedded } from "./embedded.ts";

const $ = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;
const photo = $<HTMLImageElement>("photo");
const camera = $<HTMLVideoElement>("camera");
const bar = $<HTMLProgressElement>("bar");
let model: Model | undefined;
let latest = 0;
let answers = 0;
let shown: ImageInput | undefined;
let stream: MediaStream | undefined;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function make(tag: string, name: string, text: string): HTMLElement {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

// ---- what the page says ----

function showProgress({ phase, loaded, total }: Progress): void {
  $("phase").textContent =
    phase === "download"
      ? `Reading the model: ${megabytes(loaded)}${total > 0 ? ` of ${megabytes(total)}` : ""}`
      : "Starting the engine";
  if (total > 0) {
    bar.value = loaded / total;
  }
}

/** A problem replaces the answer: none of another picture may stay beside this one. */
function showProblem(text: string): void {
  $("problem").hidden = text === "";
  $("problem").textContent = text;
  if (text !== "") {
    $("results").replaceChildren();
    $("time").textContent = "";
  }
}

function showScores(classes: ClassScore[], ms: number): void {
  $("results").replaceChildren(
    ...classes.map(({ label, score }) => {
      const item = document.createElement("li");
      const fill = make("span", "fill", "");
      fill.style.width = `${100 * score}%`;
      item.append(fill, make("span", "label", label), make("span", "score", `${(100 * score).toFixed(1)} %`));
      return item;
    }),
  );
  $("time").textContent = `${ms.toFixed(1)} ms for this picture, decoding and resizing included`;
  document.body.dataset["answers"] = String(++answers);
}

function showAbout({ info }: Model): void {
  const { metadata } = info;
  const name = info.name ?? info.architecture;
  document.title = name;
  $("name").textContent = name;
  const rows: [string, unknown][] = [
    ["Licence", info.license],
    ["Author", metadata["general.author"]],
    ["Organization", metadata["general.organization"]],
    ["Version", metadata["general.version"]],
    ["Address", metadata["general.url"]],
    ["Architecture", info.architecture],
    ["Weights", `${(info.parameters / 1e6).toFixed(2)} M as ${info.type ?? "stored"}, ${megabytes(info.fileBytes)}`],
    ["Classes", String(info.labels.length)],
    ["Memory", megabytes(info.memory.peak)],
    ["Integrity", info.integrity],
  ];
  for (const [what, value] of rows) {
    if (typeof value === "string" && value !== "") {
      $("about").append(make("dt", "", what), make("dd", "", value));
    }
  }
  const cards = ["general.description", "wf.card"].map((key) => metadata[key]);
  $("card").textContent = cards.filter((text) => typeof text === "string").join("\n\n");
  $("why").textContent = info.reason;
}

// ---- pictures ----

/** Only the newest picture counts: an answer that was overtaken is dropped. */
async function classify(picture: ImageInput): Promise<void> {
  const mine = ++latest;
  shown = picture;
  if (model === undefined) {
    return; // start() classifies what is shown when the model is there
  }
  try {
    const began = performance.now();
    const classes = await model.classify(picture);
    if (mine === latest) {
      showProblem("");
      showScores(classes, performance.now() - began);
    }
  } catch (error) {
    if (mine === latest) {
      showProblem(textOf(error));
    }
  }
}

async function takeFiles(files: Iterable<File>): Promise<void> {
  const list = [...files];
  const file = list.find((f) => f.type.startsWith("image/"));
  if (file === undefined) {
    return showProblem(list[0] ? `${list[0].name} is no picture.` : "There is no picture in that.");
  }
  stopCamera();
  const url = URL.createObjectURL(file);
  photo.src = url;
  photo.alt = `Your picture ${file.name}`;
  const good = await photo.decode().then(
    () => true,
    () => false,
  );
  URL.revokeObjectURL(url);
  photo.hidden = !good;
  $("hint").hidden = good;
  await classify(file);
}

function stopCamera(): void {
  stream?.getTracks().forEach((track) => track.stop());
  stream = undefined;
  camera.srcObject = null;
  camera.hidden = true;
  $("hint").hidden = !photo.hidden;
  $("webcam").setAttribute("aria-pressed", "false");
}

async function startCamera(): Promise<void> {
  let mine: MediaStream;
  try {
    mine = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    return showProblem(`The camera cannot be used: ${textOf(error)}`);
  }
  stream = mine;
  camera.srcObject = mine;
  await camera.play();
  camera.hidden = false;
  photo.hidden = $("hint").hidden = true;
  $("webcam").setAttribute("aria-pressed", "true");
  while (stream === mine) {
    await classify(camera);
    await new Promise(requestAnimationFrame);
  }
}

$("choose").addEventListener("click", () => $("file").click());
$<HTMLInputElement>("file").addEventListener("change", function () {
  void takeFiles(this.files ?? []);
});
$("webcam").addEventListener("click", () => (stream ? stopCamera() : void startCamera()));
addEventListener("paste", (event) => void takeFiles(event.clipboardData?.files ?? []));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
addEventListener("dragleave", () => $("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  void takeFiles(event.dataTransfer?.files ?? []);
});

// ---- the start ----

async function start(): Promise<void> {
  try {
    const { choice, missing } = support();
    if (choice === null) {
      throw new Error(missing[0]?.reason);
    }
    const worker = URL.createObjectURL(
      new Blob([await asset("worker")], { type: "text/javascript" }),
    );
    const engine = await asset(choice.build);
    // An opened file is never cross-origin isolated, so there is one thread.
    const options = { engine, worker, threads: 1, onProgress: showProgress };
    model = await load(embedded(), options, undefined);
    URL.revokeObjectURL(worker);
    showAbout(model);
    if (shown !== undefined) {
      await classify(shown);
    }
  } catch (error) {
    showProblem(textOf(error));
  }
  $("loading").hidden = true;
  document.body.dataset["ready"] = String(model !== undefined);
}
void start();
