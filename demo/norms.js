"use strict";
/* A Pre-LN checkpoint, as it is and with its norms rewritten: converted, loaded, run on the same input and timed, one form after the
   other. Names and sentences that come from files reach the page by textContent only. */
(() => {
  const $ = (id) => document.getElementById(id);
  const forms = [
    { name: "Layer norm", options: { norm: "keep" } },
    { name: "RMS norm", options: { norm: "rms" } },
    { name: "RMS norm, folded", options: { norm: "rms", fold: true } },
    { name: "Compressed RMS norm", options: { norm: "crms" } },
  ];
  let files = [], stopper = null;

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

  function take(list) {
    if (stopper !== null) {
      return;
    }
    files = list;
    $("hint").hidden = files.length > 0;
    $("files").hidden = files.length === 0;
    $("files").replaceChildren(...files.map(({ name }) => element("li", name)));
    $("compare").disabled = files.length === 0;
    $("made").hidden = $("explained").hidden = true;
    showProblem(null);
    say(files.length > 0 ? "Ready." : "No file is given yet.");
  }

  /* Noise that is the same each time: a Park–Miller sequence, −1.7 … 1.7 like normalised pixels. */
  function noise(count) {
    const data = new Float32Array(count);
    let state = 1;
    for (let i = 0; i < count; i++) {
      state = (state * 48271) % 2147483647;
      data[i] = (state / 2147483647 - 0.5) * 3.4;
    }
    return data;
  }

  function difference(a, b) {
    let wrong = 0, all = 0;
    for (let i = 0; i < b.length; i++) {
      wrong += (a[i] - b[i]) ** 2;
      all += b[i] ** 2;
    }
    return Math.sqrt(wrong / all);
  }

  const isNorm = ({ op }) => op.endsWith("_norm");
  const ms = (x) => (x < 5e-5 ? "under 0.1 µs" : x < 0.1 ? `${(1000 * x).toFixed(1)} µs` : `${x.toFixed(2)} ms`);

  /* One form: converted in the worker, loaded, run and timed; nothing of it stays. */
  async function measure(form, signal) {
    const converted = await wasmformer.convert({ files }, { ...form.options, signal });
    let model;
    try {
      model = await wasmformer.load(converted, { signal, cache: false, selfTest: false });
      const { channels, height, width } = model.info.input;
      const input = { data: noise(channels * height * width), shape: [1, channels, height, width] };
      const output = Object.values(await model.run({ input }, { signal }))[0].data;
      // a norm may take less than the clock ticks: enough runs that the average tells
      const once = await model.profile({ runs: 5, signal });
      const profile = await model.profile({ runs: Math.round(Math.min(1000, Math.max(20, 3000 / once.ms))), signal });
      const norms = profile.nodes.filter(isNorm);
      return { output, ms: profile.ms, norms: norms.length, normMs: norms.reduce((sum, node) => sum + node.ms, 0), report: converted.report };
    } finally {
      model?.free();
      await converted.free();
    }
  }

  function show(form, got, first) {
    const row = document.createElement("tr");
    const folded = form.options.fold || form.options.norm === "crms";
    row.append(element("th", form.name), ...[
      got === first ? "—" : difference(got.output, first.output).toExponential(1),
      ms(got.ms),
      ms(got.normMs / got.norms),
      `${((100 * got.normMs) / got.ms).toFixed(1)} %`,
      folded ? "in the weights behind" : "in the norm",
    ].map((text) => element("td", text)));
    $("rows").append(row);
    $("made").hidden = $("explained").hidden = false;
  }

  async function compare() {
    let first = null;
    stopper = new AbortController();
    $("compare").disabled = $("choose").disabled = true;
    $("stop").hidden = false;
    $("rows").replaceChildren();
    showProblem(null);
    try {
      for (const form of forms) {
        say(`${form.name}: converting, running, timing …`);
        const got = await measure(form, stopper.signal);
        first ??= got;
        show(form, got, first);
      }
      say(`Done: the same function in ${forms.length} forms.`);
    } catch (error) {
      say(error.name === "AbortError" ? "Stopped." : "");
      showProblem(error.name === "AbortError" ? null : error);
    }
    stopper = null;
    $("stop").hidden = true;
    $("compare").disabled = $("choose").disabled = false;
    document.body.dataset.comparisons = Number(document.body.dataset.comparisons ?? 0) + 1;
  }

  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    take([...$("file").files]);
    $("file").value = "";
  });
  $("compare").addEventListener("click", () => void compare());
  $("stop").addEventListener("click", () => stopper?.abort());
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length > 0) {
      take([...event.dataTransfer.files]);
    }
  });
})();
