"use strict";
/* The demo page: load the shipped model once, then classify whatever picture comes: a sample, a file, the clipboard, the camera.
   Text from the model's file reaches the page by textContent only. ?threads=1, ?build=simd and ?worker=false override the
   automatic choice, ?model=URL takes another file. */
(() => {
  const $ = (id) => document.getElementById(id);
  const query = new URLSearchParams(location.search);
  const photo = $("photo"), camera = $("camera");
  let model = null, latest = 0, stream = null;

  const options = {
    onProgress: showProgress,
    ...(query.has("threads") && { threads: Number(query.get("threads")) }),
    ...(query.has("build") && { build: query.get("build") }),
    ...(query.get("worker") === "false" && { worker: false }),
  };

  function megabytes(bytes) {
    return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
  }

  function showProgress({ phase, loaded, total, secondsLeft }) {
    const names = { compile: "Compiling the engine", plan: "Planning memory", download: "Downloading the model", ready: "Ready" };
    const left = secondsLeft === undefined ? "" : `, ${Math.ceil(secondsLeft)} s left`;
    $("phase").textContent = phase === "download" ? `${names[phase]}: ${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ""}${left}` : names[phase];
    if (total > 0) {
      $("bar").value = loaded / total;
    }
    $("loading").hidden = phase === "ready";
  }

  function showProblem(error) {
    $("problem").hidden = error === null;
    $("problem").textContent = error === null ? "" : error.message;
    if (error !== null) { /* no answer of another picture may stay beside this one */
      $("loading").hidden = true;
      $("results").replaceChildren();
      $("time").textContent = "";
    }
  }

  function row(list, name, value) {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = value;
    list.append(dt, dd);
  }

  function showHow() {
    const { info } = model, list = $("how");
    list.replaceChildren();
    row(list, "Build", `${info.build === "relaxed" ? "relaxed SIMD" : "plain SIMD"}, integer dot ${info.dot}`);
    row(list, "Threads", `${info.threads}${info.worker ? ", in a worker" : ", on the page's own thread in slices"}`);
    row(list, "Model", `${info.architecture}, ${(info.parameters / 1e6).toFixed(2)} M weights as ${info.type}, ${megabytes(info.fileBytes)}`);
    row(list, "Input", `${info.input.width} × ${info.input.height}, ${(info.multiplyAdds / 1e6).toFixed(0)} M multiply-adds`);
    row(list, "Memory", `${megabytes(info.memory.peak)} (weights ${megabytes(info.memory.weights)}, activations ${megabytes(info.memory.activations)})`);
    row(list, "Start", `${info.ms.load.toFixed(0)} ms, of which ${info.ms.compile.toFixed(0)} ms compiling`);
    $("why").textContent = info.reason;
  }

  function showResults(classes, ms) {
    $("results").replaceChildren(
      ...classes.map(({ label, score }) => {
        const item = document.createElement("li"), bar = document.createElement("span");
        const name = document.createElement("span"), value = document.createElement("span");
        bar.className = "fill";
        bar.style.width = `${100 * score}%`;
        name.className = "label";
        name.textContent = label;
        value.textContent = `${(100 * score).toFixed(1)} %`;
        value.className = "score";
        item.append(bar, name, value);
        return item;
      }),
    );
    $("time").textContent = `${ms.toFixed(1)} ms for this picture, decoding and resizing included`;
    document.body.dataset.answers = String(++answers);
  }
  let answers = 0;

  /* Only the newest picture counts: an answer that was overtaken is dropped. */
  async function classify(picture, name) {
    const mine = ++latest;
    if (model === null) {
      return; /* load() classifies what is shown when it is ready */
    }
    try {
      const start = performance.now();
      const classes = await model.classify(picture, { topk: 5 });
      if (mine === latest) {
        showProblem(null);
        showResults(classes, performance.now() - start);
      }
    } catch (error) {
      if (mine === latest) {
        showProblem(name === undefined ? error : new Error(`${name} cannot be read, it may be damaged or cut off. ${error.message}`));
      }
    }
  }

  async function showPicture(source, alt) {
    stopCamera();
    const url = typeof source === "string" ? source : URL.createObjectURL(source);
    photo.src = url;
    photo.alt = alt;
    try {
      await photo.decode();
    } catch {
      latest++;
      photo.hidden = true;
      $("hint").hidden = false;
      showProblem(new Error(`This file is no picture that the browser can decode${source.name ? `: ${source.name}` : ""}.`));
      return;
    } finally {
      if (typeof source !== "string") {
        setTimeout(() => URL.revokeObjectURL(url), 10000);
      }
    }
    photo.hidden = false;
    camera.hidden = $("hint").hidden = true;
    await classify(typeof source === "string" ? photo : source, source.name);
  }

  function takeFiles(files) {
    const file = [...files].find((f) => f.type.startsWith("image/"));
    if (file === undefined) {
      showProblem(new Error(files.length ? `${files[0].name} is no picture.` : "There is no picture in that."));
    } else {
      showPicture(file, `Your picture ${file.name}`);
    }
  }

  function stopCamera() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    camera.srcObject = null;
    camera.hidden = true;
    $("hint").hidden = !photo.hidden;
    $("webcam").setAttribute("aria-pressed", "false");
  }

  async function startCamera() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      showProblem(new Error(`The camera cannot be used: ${error.message}`));
      return;
    }
    const mine = stream;
    camera.srcObject = stream;
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
  $("file").addEventListener("change", (event) => takeFiles(event.target.files));
  $("webcam").addEventListener("click", () => (stream ? stopCamera() : startCamera()));
  for (const button of document.querySelectorAll("[data-photo]")) {
    button.addEventListener("click", () => showPicture(button.dataset.photo, button.firstElementChild.alt));
  }
  addEventListener("paste", (event) => takeFiles(event.clipboardData.files));
  addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  addEventListener("dragleave", () => $("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    takeFiles(event.dataTransfer.files);
  });

  async function start() {
    showPicture("photos/chelsea.jpg", "Sample: a cat");
    try {
      model = await wasmformer.load(query.get("model") ?? "models/poolformer-tiny64/poolformer-tiny64.gguf", options);
    } catch (error) {
      showProblem(error);
      return;
    }
    showHow();
    if (!photo.hidden) {
      await classify(photo);
    }
    keepOffline();
  }

  /* Where it can be done, the page works without a network from now on; see sw.js. It waits until the page has what it needs. */
  function keepOffline() {
    const address = "sw.js", own = { createScriptURL: () => address };
    const policy = globalThis.trustedTypes?.createPolicy("demo", own) ?? own;
    navigator.serviceWorker
      ?.register(policy.createScriptURL(address), { updateViaCache: "none" })
      .catch((error) => console.warn(`The page will not work without a network: ${error.message}`));
  }
  start();
})();
