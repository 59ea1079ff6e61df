"use strict";
/* The converter's page: a checkpoint in, a GGUF model out, to download or to run at once. All work is done by wasmformer.convert in a
   worker; this file shows it. Names and sentences that come from files reach the page by textContent only. */
(() => {
  const $ = (id) => document.getElementById(id);
  let files = [], stopper = null, result = null, model = null, shown = 0;

  const phases = {
    start: "Starting", calibrating: "Looking at the pictures", measuring: "Running the source and the result, to compare them",
    hashing: "Hashing the new file", writing: "Writing the new file", ready: "Ready",
  };

  function bytes(n) {
    return n < 1e4 ? `${n} bytes` : n < 1e6 ? `${(n / 1e3).toFixed(0)} kB` : `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;
  }
  const isPicture = /\.(jpe?g|png)$/i;
  const loss = (x) => (x > 0 && x < 1e-3 ? x.toExponential(2) : x.toPrecision(3));

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function say(text) {
    $("status").textContent = text;
  }

  function showProblem(error) {
    $("problem").hidden = error === null;
    $("problem").textContent = error === null ? "" : error.message;
  }

  /* ---- files ---- */

  function take(list) {
    if (stopper !== null) {
      return;
    }
    files = list;
    $("hint").hidden = files.length > 0;
    $("files").hidden = files.length === 0;
    $("files").replaceChildren(...files.map(({ name, size }) => {
      const item = document.createElement("li");
      item.append(element("span", name), element("span", bytes(size)));
      return item;
    }));
    $("convert").disabled = files.length === 0;
    showProblem(null);
    void forget();
    $("rows").replaceChildren();
    $("made").hidden = $("noted").hidden = true;
    say(files.length > 0 ? "Ready to convert." : "No file is given yet.");
  }

  async function takeSample() {
    say("Getting the demo model's checkpoint …");
    try {
      take(await Promise.all($("sample").dataset.files.split(" ").map(async (address) => {
        const response = await fetch(address);
        if (!response.ok) {
          throw new Error(`${address} was answered with status ${response.status}.`);
        }
        return new File([await response.blob()], address.split("/").pop());
      })));
    } catch (error) {
      say("");
      showProblem(error);
    }
  }

  /* ---- the conversion ---- */

  /* The last result leaves the browser's store, and the page. */
  async function forget() {
    const old = result;
    model?.free();
    model = result = null;
    shown++;
    $("report").hidden = $("worst").hidden = $("ready").hidden = $("trial").hidden = true;
    await old?.free();
  }

  function showNote(text) {
    $("noted").hidden = false;
    $("notes").append(element("li", text));
  }

  function row(type, cells, refused) {
    const made = document.createElement("tr");
    made.dataset.type = type;
    made.className = refused ? "refused" : "";
    made.append(...cells.map((text) => element("td", text)));
    $("rows").querySelector(`[data-type="${type}"]`)?.remove();
    $("rows").append(made);
    $("made").hidden = false;
  }

  function showReport({ name, size, report }) {
    const line = (term, text) => [element("dt", term), element("dd", text)];
    $("report").replaceChildren(
      ...line("File", `${name}, ${bytes(size)}`),
      ...line("Architecture", report.architecture),
      ...line("Tensors", `${report.writtenTensors} of ${report.sourceTensors} in the source, ${report.leftOut} left out`),
      ...line("Loss", `${loss(report.loss)} relative to the source ${report.pictures > 0 ? `on ${report.pictures} of the pictures` : "in double precision"} (allowed ${loss(report.maxLoss)})`),
      ...line("Time", `${(report.ms / 1000).toFixed(1)} s, with ${bytes(report.memory)} of memory`),
    );
    const worst = [...report.layers].sort((a, b) => b.loss - a.loss).slice(0, 5);
    $("worst").hidden = worst.length === 0;
    $("layers").replaceChildren(...worst.map((layer) => element("li", `${layer.name} (${layer.type}${layer.input ? `, input ${layer.input}` : ""}): ${loss(layer.loss)}`)));
    $("report").hidden = $("ready").hidden = false;
  }

  function busy(on) {
    $("working").hidden = $("stop").hidden = !on;
    for (const id of ["convert", "choose", "sample", "types", "limit"]) {
      $(id).disabled = on;
    }
    if (on) {
      $("bar").value = 0;
    }
  }

  async function convert() {
    const type = document.querySelector("[name=type]:checked").value;
    const limit = $("limit").value.trim();
    stopper = new AbortController();
    busy(true);
    $("stop").focus();
    showProblem(null);
    $("notes").replaceChildren();
    $("noted").hidden = true;
    say("");
    try {
      await forget();
      const pictures = files.filter(({ name }) => isPicture.test(name));
      result = await wasmformer.convert({ files: files.filter((file) => !pictures.includes(file)) }, {
        type,
        ...(type === "int8" && pictures.length > 0 && { calibrate: pictures }),
        ...(limit !== "" && { maxLoss: Number(limit) }),
        signal: stopper.signal,
        onNote: showNote,
        onProgress({ phase, fraction }) {
          $("phase").textContent = phases[phase] ?? phase;
          $("bar").value = fraction;
        },
      });
      const { report } = result;
      row(type, [type.toUpperCase(), bytes(report.bytes), loss(report.loss), loss(report.maxLoss), `${(report.ms / 1000).toFixed(1)} s`], false);
      showReport(result);
      say("Converted.");
    } catch (error) {
      const stopped = error.name === "AbortError";
      say(stopped ? "Stopped; nothing was kept." : "Not converted.");
      if (!stopped) {
        showProblem(error);
      }
      if (error.code === "LOSS") {
        row(type, [type.toUpperCase(), "refused", "above the limit", limit === "" ? "by type" : limit, ""], true);
      }
    }
    stopper = null;
    busy(false);
    (result !== null ? $("download") : $("convert")).focus();
    document.body.dataset.conversions = String(Number(document.body.dataset.conversions ?? 0) + 1);
  }

  async function download() {
    const url = URL.createObjectURL(await result.blob());
    const link = document.createElement("a");
    link.href = url;
    link.download = result.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  /* ---- running it ---- */

  async function run() {
    const mine = result;
    $("run").disabled = true;
    try {
      const loaded = model ?? (await wasmformer.load(mine));
      if (mine !== result) { /* another conversion has begun meanwhile */
        loaded.free();
        return;
      }
      model = loaded;
      $("trial").hidden = false;
      const { info } = model;
      $("which").textContent = `${result.name}: ${(info.parameters / 1e6).toFixed(2)} M weights as ${info.type}, on ${info.threads} ` +
        `thread${info.threads === 1 ? "" : "s"}; choose a picture.`;
      $("results").replaceChildren();
      $("time").textContent = "";
      $("trial").querySelector("button").focus();
    } catch (error) {
      showProblem(error);
    } finally {
      $("run").disabled = false;
    }
  }

  /* Only the newest picture counts. */
  async function classify(picture, name) {
    const mine = ++shown;
    try {
      const start = performance.now();
      const classes = await model.classify(picture, { topk: 5 });
      if (mine !== shown) {
        return;
      }
      $("results").replaceChildren(...classes.map(({ label, score }) => {
        const item = document.createElement("li"), bar = element("span", "");
        bar.className = "fill";
        bar.style.width = `${100 * score}%`;
        const [label_, value] = [element("span", label), element("span", `${(100 * score).toFixed(1)} %`)];
        label_.className = "label";
        value.className = "score";
        item.append(bar, label_, value);
        return item;
      }));
      $("time").textContent = `${name}: ${(performance.now() - start).toFixed(1)} ms`;
      showProblem(null);
      document.body.dataset.answers = String(Number(document.body.dataset.answers ?? 0) + 1);
    } catch (error) {
      if (mine === shown) {
        $("results").replaceChildren();
        $("time").textContent = "";
        showProblem(error);
      }
    }
  }

  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", (event) => take([...event.target.files]));
  $("sample").addEventListener("click", takeSample);
  $("convert").addEventListener("click", convert);
  $("stop").addEventListener("click", () => stopper?.abort());
  $("download").addEventListener("click", download);
  $("run").addEventListener("click", run);
  $("picture").addEventListener("click", () => $("image").click());
  $("image").addEventListener("change", (event) => event.target.files.length > 0 && classify(event.target.files[0], event.target.files[0].name));
  for (const button of document.querySelectorAll("[data-photo]")) {
    button.addEventListener("click", () => classify(button.firstElementChild, button.firstElementChild.alt));
  }
  addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  addEventListener("dragleave", () => $("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  addEventListener("pagehide", (event) => void (event.persisted || result?.free()));
})();
