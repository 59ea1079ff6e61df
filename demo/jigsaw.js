"use strict";
/* A picture is cut into tiles, shuffled, and put together again by the model: m.jigsaw says how they were shuffled and where each is
   put; the page draws that. ?seed=N shuffles the same way each time, ?model=URL takes another file. */
(() => {
  const $ = (id) => document.getElementById(id);
  const query = new URLSearchParams(location.search);
  const whole = $("whole"), side = whole.width;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let model = null, latest = 0, answers = 0, shown = false;

  function showProblem(error) {
    $("problem").hidden = error === null;
    $("problem").textContent = error === null ? "" : error.message;
  }

  function clear(canvas) {
    canvas.getContext("2d").clearRect(0, 0, side, side);
  }

  /* The square in the middle, which is what the model is given too. */
  function drawPicture(picture) {
    const edge = Math.min(picture.width, picture.height);
    const context = whole.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.clearRect(0, 0, side, side);
    context.drawImage(picture, (picture.width - edge) / 2, (picture.height - edge) / 2, edge, edge, 0, 0, side, side);
  }

  /* Where a place begins, in pixels of the board. */
  const cornerOf = ({ columns, rows }, place) => [(place % columns) * (side / columns), Math.floor(place / columns) * (side / rows)];

  /* Tile i, which is tile order[i] of the picture, at a point of the board. */
  function drawTile(context, puzzle, i, x, y) {
    const [fromX, fromY] = cornerOf(puzzle, puzzle.order[i]);
    const width = side / puzzle.columns, height = side / puzzle.rows;
    context.drawImage(whole, fromX, fromY, width, height, x, y, width, height);
  }

  function drawLines(context, { columns, rows }) {
    context.fillStyle = "rgb(255 255 255 / 60%)";
    for (let i = 1; i < columns; i++) {
      context.fillRect((i * side) / columns - 1, 0, 2, side);
    }
    for (let i = 1; i < rows; i++) {
      context.fillRect(0, (i * side) / rows - 1, side, 2);
    }
  }

  function drawShuffled(puzzle) {
    const context = $("shuffled").getContext("2d");
    clear($("shuffled"));
    puzzle.order.forEach((_, i) => drawTile(context, puzzle, i, ...cornerOf(puzzle, i)));
    drawLines(context, puzzle);
  }

  /* share 0: as they were shuffled, 1: where the model puts them. */
  function drawSolved(puzzle, share) {
    const context = $("solved").getContext("2d");
    clear($("solved"));
    puzzle.order.forEach((_, i) => {
      const [fromX, fromY] = cornerOf(puzzle, i), [toX, toY] = cornerOf(puzzle, puzzle.places[i]);
      drawTile(context, puzzle, i, fromX + (toX - fromX) * share, fromY + (toY - fromY) * share);
    });
    if (share < 1) {
      return;
    }
    drawLines(context, puzzle);
    context.strokeStyle = "#d6293e";
    context.lineWidth = 6;
    puzzle.places.forEach((place, i) => {
      if (place !== puzzle.order[i]) {
        const [x, y] = cornerOf(puzzle, place);
        context.strokeRect(x + 4, y + 4, side / puzzle.columns - 8, side / puzzle.rows - 8);
      }
    });
  }

  async function move(puzzle, mine) {
    const begin = performance.now(), length = calm ? 0 : 700;
    for (;;) {
      const t = length === 0 ? 1 : Math.min(1, (performance.now() - begin) / length);
      if (mine !== latest) {
        return;
      }
      drawSolved(puzzle, t * t * (3 - 2 * t));
      if (t === 1) {
        return;
      }
      await new Promise(requestAnimationFrame);
    }
  }

  function say(puzzle, ms) {
    const tiles = puzzle.order.length;
    const percent = Math.round((100 * puzzle.right) / tiles);
    $("status").textContent = `${puzzle.right} of ${tiles} tiles are right (${percent}\u00a0%), in ${ms.toFixed(1)}\u00a0ms`;
    $("detail").textContent = `Were each tile put where it fits best by itself, ${puzzle.rightAlone} would be right. ` +
      "The time includes reading the picture, the model and the assignment.";
  }

  async function solve() {
    const mine = ++latest;
    if (model === null || !shown) {
      return; /* start() solves what is shown when the model is ready */
    }
    try {
      showProblem(null);
      const begin = performance.now();
      const puzzle = await model.jigsaw(whole, query.has("seed") ? { seed: Number(query.get("seed")) } : {});
      const ms = performance.now() - begin;
      if (mine !== latest) {
        return;
      }
      drawShuffled(puzzle);
      await move(puzzle, mine);
      if (mine === latest) {
        say(puzzle, ms);
        Object.assign(document.body.dataset, { puzzle: JSON.stringify(puzzle), answers: String(++answers) });
      }
    } catch (error) {
      if (mine === latest) {
        showProblem(error);
        $("status").textContent = "";
      }
    }
  }

  async function show(blob, name) {
    try {
      const picture = await createImageBitmap(blob);
      drawPicture(picture);
      picture.close();
    } catch {
      showProblem(new Error(`This file is no picture that the browser can decode: ${name}.`));
      return;
    }
    shown = true;
    $("again").disabled = model === null;
    await solve();
  }

  async function showAddress(address) {
    const response = await fetch(address);
    if (!response.ok) {
      showProblem(new Error(`${address} cannot be loaded (${response.status}).`));
      return;
    }
    await show(await response.blob(), address);
  }

  function takeFiles(files) {
    if (files.length === 0) {
      showProblem(new Error("There is no picture in that."));
    } else {
      void show(files[0], files[0].name);
    }
  }

  $("choose").addEventListener("click", () => $("file").click());
  $("again").addEventListener("click", () => void solve());
  $("file").addEventListener("change", () => {
    takeFiles([...$("file").files]);
    $("file").value = "";
  });
  for (const button of document.querySelectorAll("[data-photo]")) {
    button.addEventListener("click", () => showAddress(button.dataset.photo).catch(showProblem));
  }
  addEventListener("paste", (event) => takeFiles([...event.clipboardData.files]));
  addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  addEventListener("dragleave", () => $("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    takeFiles([...event.dataTransfer.files]);
  });

  async function start() {
    const first = showAddress("photos/rocket.jpg").catch(showProblem);
    try {
      model = await wasmformer.load(query.get("model") ?? "models/jigsaw-tiny64/jigsaw-tiny64.gguf");
    } catch (error) {
      $("status").textContent = "";
      showProblem(error);
      return;
    }
    await first;
    $("again").disabled = !shown;
    $("status").textContent = "";
    await solve();
  }
  void start();
})();
