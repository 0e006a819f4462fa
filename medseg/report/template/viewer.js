"use strict";
// Scrolling through a case: volumes lie in the page as base64 of deflate and are unpacked when they are chosen.
{
  const one = (selector) => document.querySelector(selector);
  const dialog = one("#viewer"), canvas = one("#slice"), profile = one("#profile"), slider = one("#position");
  const volumes = JSON.parse(one("#volumes").textContent);
  // For each plane: the axis it cuts, those it shows across and down, and the letters left, right, top, bottom.
  const PLANES = { axial: [2, 0, 1, "RLAP"], coronal: [1, 0, 2, "RLSI"], sagittal: [0, 1, 2, "APSI"] };
  const SIDES = ["left", "right", "top", "bottom"];
  const colour = (rgb, alpha = 1) => `rgb(${rgb.join(" ")} / ${alpha})`;
  let unpacked = {}, turns = 0;
  let shown = null; // { volume, place, axis, slice, model }; null until the first case is unpacked

  const inflate = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  // The inverse of medseg.report.evidence.pack.
  const unpack = async (place) => {
    const facts = volumes.cases[place];
    const bytes = await inflate(one(`#volume-${place}`).textContent);
    const [across, down, deep] = facts.size;
    const voxels = across * down * deep;
    let at = 0;
    let image = null;
    if (facts.image) {
      image = bytes.subarray(0, voxels);
      for (let i = 0; i < voxels; i++) if (i % across) image[i] += image[i - 1];
      at = voxels;
    }
    const maps = [];
    while (at < bytes.length) {
      const map = facts.wide ? new Uint16Array(voxels) : bytes.subarray(at, at + voxels);
      if (facts.wide) for (let i = 0; i < voxels; i++) map[i] = bytes[at + i] + 256 * bytes[at + voxels + i];
      if (maps.length) for (let i = 0; i < voxels; i++) map[i] ^= maps[0][i];
      maps.push(map);
      at += facts.wide ? 2 * voxels : voxels;
    }
    return { facts, image, reference: maps[0], predictions: maps.slice(1) };
  };

  const steps = (size) => [1, size[0], size[0] * size[1]];

  // How many voxels of each slice are wrong.
  const wrongBySlice = ({ facts, reference, predictions }, cut, model) => {
    const step = steps(facts.size)[cut], count = facts.size[cut];
    const wrong = new Float64Array(count);
    const prediction = predictions[model];
    for (let i = 0; i < reference.length; i++) {
      if (reference[i] !== prediction[i]) wrong[Math.floor(i / step) % count] += 1;
    }
    return wrong;
  };

  // The slice as small arrays (columns fastest).
  const cutOut = (map, facts, [cut, across, down], slice) => {
    const step = steps(facts.size), wide = facts.size[across], high = facts.size[down];
    const flat = new map.constructor(wide * high);
    for (let y = 0, to = 0; y < high; y++) {
      let from = slice * step[cut] + y * step[down];
      for (let x = 0; x < wide; x++, from += step[across]) flat[to++] = map[from];
    }
    return flat;
  };

  const layer = (wide, high, paint) => {
    const small = new OffscreenCanvas(wide, high), pen = small.getContext("2d");
    const data = pen.createImageData(wide, high);
    for (let i = 0; i < wide * high; i++) paint(data.data, 4 * i, i);
    pen.putImageData(data, 0, 0);
    return small;
  };

  // Edges between voxels of different labels; apart from those that `other` has too.
  const edges = (map, other, wide, high, sx, sy) => {
    const alone = new Path2D(), both = new Path2D();
    const line = (x0, y0, x1, y1, shared) => {
      const path = shared ? both : alone;
      path.moveTo(x0 * sx, y0 * sy);
      path.lineTo(x1 * sx, y1 * sy);
    };
    for (let y = 0, i = 0; y < high; y++) {
      for (let x = 0; x < wide; x++, i++) {
        if (x && map[i] !== map[i - 1]) line(x, y, x, y + 1, other[i] !== other[i - 1]);
        if (y && map[i] !== map[i - wide]) line(x, y, x + 1, y, other[i] !== other[i - wide]);
      }
    }
    return { alone, both };
  };

  const draw = () => {
    if (!shown) return;
    const { volume, axis, slice, model } = shown, { facts } = volume;
    const plane = PLANES[axis], [cut, across, down, letters] = plane;
    const wide = facts.size[across], high = facts.size[down];
    const wideMm = wide * facts.spacing_mm[across], highMm = high * facts.spacing_mm[down];
    const room = one(".stage").getBoundingClientRect();
    const scale = Math.min((room.width - 48) / wideMm, (room.height - 48) / highMm);
    const density = window.devicePixelRatio || 1;
    canvas.style.width = `${wideMm * scale}px`;
    canvas.style.height = `${highMm * scale}px`;
    canvas.width = Math.max(1, Math.round(wideMm * scale * density));
    canvas.height = Math.max(1, Math.round(highMm * scale * density));
    const pen = canvas.getContext("2d");
    const reference = cutOut(volume.reference, facts, plane, slice);
    const prediction = cutOut(volume.predictions[model], facts, plane, slice);
    const grey = volume.image ? cutOut(volume.image, facts, plane, slice) : null;
    const layers = new Set([...dialog.querySelectorAll("[name=layer]:checked")].map((box) => box.value));

    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(layer(wide, high, (out, to, i) => {
      out[to] = out[to + 1] = out[to + 2] = grey ? grey[i] : volumes.no_image;
      out[to + 3] = 255;
    }), 0, 0, canvas.width, canvas.height);
    if (layers.has("errors")) {
      pen.imageSmoothingEnabled = false;
      pen.drawImage(layer(wide, high, (out, to, i) => {
        if (reference[i] === prediction[i]) return;
        const { missed, invented, confused } = volumes.colours;
        const fill = !prediction[i] ? missed : !reference[i] ? invented : confused;
        out.set(fill, to);
        out[to + 3] = 255 * volumes.opacity;
      }), 0, 0, canvas.width, canvas.height);
    }
    const sx = canvas.width / wide, sy = canvas.height / high;
    pen.lineWidth = 1.75 * density;
    pen.lineCap = "square";
    const stroke = (path, tone, dashes) => {
      pen.setLineDash(dashes.map((length) => length * density));
      pen.strokeStyle = colour(tone);
      pen.stroke(path);
    };
    if (layers.has("reference")) {
      const { alone, both } = edges(reference, prediction, wide, high, sx, sy);
      stroke(alone, volumes.colours.reference, []);
      stroke(both, volumes.colours.reference, []);
    }
    if (layers.has("prediction")) {
      const { alone, both } = edges(prediction, reference, wide, high, sx, sy);
      stroke(alone, volumes.colours.prediction, []);
      stroke(both, volumes.colours.prediction, layers.has("reference") ? [3, 6] : []);
    }
    SIDES.forEach((side, i) => { one(`.letter.${side}`).textContent = letters[i]; });
    describe();
    drawProfile();
  };

  const fileIndex = (axis, place) => {
    const { facts } = shown.volume, [fileAxis, start, step] = facts.file_axes[axis];
    return ["i", "j", "k"][fileAxis] + " = " + (start + step * place * facts.stride[axis]);
  };

  const describe = () => {
    const { volume: { facts }, axis, slice } = shown, cut = PLANES[axis][0];
    const thinned = facts.stride.some((step) => step > 1) ? "; thinned out for this page" : "";
    one("#where").textContent = `slice ${slice + 1} of ${facts.size[cut]} (${fileIndex(cut, slice)} in the file${thinned})`;
    slider.setAttribute("aria-valuetext", one("#where").textContent);
  };

  const drawProfile = () => {
    const { wrong, slice } = shown, density = window.devicePixelRatio || 1;
    const room = profile.getBoundingClientRect();
    profile.width = room.width * density;
    profile.height = room.height * density;
    const pen = profile.getContext("2d"), most = Math.max(1, ...wrong), step = profile.width / wrong.length;
    wrong.forEach((count, i) => {
      const tall = (count / most) * profile.height;
      pen.fillStyle = i === slice ? "#fff" : colour(volumes.colours.invented, 0.85);
      pen.fillRect(i * step, profile.height - tall, Math.max(1, step - density), tall);
    });
  };

  const goTo = (slice, axis = shown?.axis, model = shown?.model) => {
    if (!shown) return;
    const cut = PLANES[axis][0], { facts } = shown.volume;
    if (!shown.wrong || axis !== shown.axis || model !== shown.model) {
      shown.wrong = wrongBySlice(shown.volume, cut, model);
    }
    shown.axis = axis;
    shown.model = model;
    shown.slice = Math.min(facts.size[cut] - 1, Math.max(0, slice));
    slider.max = facts.size[cut];
    slider.value = shown.slice + 1;
    one(`[name=axis][value=${axis}]`).checked = true;
    const name = volumes.cases[shown.place].id;
    const link = new URLSearchParams({ case: name, axis, slice: shown.slice + 1 });
    if (model) link.set("model", model + 1);
    history.replaceState(null, "", `#${link}`);
    draw();
  };

  const open = async (place, { axis = "axial", slice = null, model = 0 } = {}) => {
    if (!dialog.open) dialog.showModal();
    one("#viewer-case").value = place;
    one("#viewer-message").textContent = "unpacking …";
    const turn = ++turns;
    if (unpacked.place !== place) {
      try {
        const volume = await unpack(place);
        if (turn !== turns) return; // another case was chosen meanwhile
        unpacked = { place, volume }; // one at a time is enough for memory
      } catch (error) {
        one("#viewer-message").textContent = `This browser cannot unpack the slices (${error}); use a current one.`;
        return;
      }
    }
    one("#viewer-message").textContent = "";
    const { volume } = unpacked;
    shown = { volume, place, axis, model };
    const worst = volume.facts.point[PLANES[axis][0]];
    goTo(slice === null ? worst : slice - 1, axis, Math.min(model, volume.predictions.length - 1));
    canvas.focus({ preventScroll: true });
  };

  const follow = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const place = volumes.cases.findIndex((facts) => facts.id === wanted.get("case"));
    if (place < 0) return;
    const axis = wanted.get("axis") in PLANES ? wanted.get("axis") : "axial";
    open(place, {
      axis,
      slice: wanted.has("slice") ? Number(wanted.get("slice")) || 1 : null,
      model: Math.max(0, (Number(wanted.get("model")) || 1) - 1),
    });
  };

  volumes.cases.forEach((facts, place) => one("#viewer-case").append(new Option(facts.id, place)));
  one("#viewer-case").addEventListener("change", (event) => {
    open(Number(event.target.value), { axis: shown?.axis, model: shown?.model });
  });
  one("#open-viewer").addEventListener("click", () => open(0));
  one("#viewer-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname));
  dialog.addEventListener("change", ({ target }) => {
    if (!shown) return;
    if (target.name === "axis") goTo(shown.volume.facts.point[PLANES[target.value][0]], target.value);
    else if (target.name === "model") goTo(shown.slice, shown.axis, Number(target.value));
    else if (target.name === "layer") draw();
  });
  slider.addEventListener("input", () => goTo(slider.value - 1));
  profile.addEventListener("click", (event) => {
    if (!shown) return;
    const room = profile.getBoundingClientRect();
    goTo(Math.floor(((event.clientX - room.left) / room.width) * shown.wrong.length));
  });
  one(".stage").addEventListener("wheel", (event) => {
    event.preventDefault();
    if (shown) goTo(shown.slice + Math.sign(event.deltaY));
  }, { passive: false });
  dialog.addEventListener("keydown", (event) => {
    if (!shown || event.target.matches("select, input")) return;
    const move = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (!move) return;
    event.preventDefault();
    goTo(shown.slice + move);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!shown) return;
    const { volume: { facts, reference, predictions }, axis, slice, model } = shown;
    const [cut, across, down] = PLANES[axis], room = canvas.getBoundingClientRect();
    const place = [0, 0, 0];
    place[cut] = slice;
    place[across] = Math.floor(((event.clientX - room.left) / room.width) * facts.size[across]);
    place[down] = Math.floor(((event.clientY - room.top) / room.height) * facts.size[down]);
    const at = place.reduce((sum, p, a) => sum + p * steps(facts.size)[a], 0);
    one("#under").textContent = at < reference.length && at >= 0
      ? `reference: ${facts.names[reference[at]]}, prediction: ${facts.names[predictions[model][at]]}` : "";
  });
  canvas.addEventListener("pointerleave", () => { one("#under").textContent = ""; });
  window.addEventListener("resize", draw);
  window.addEventListener("hashchange", follow);
  document.querySelectorAll("tr.picture img").forEach((picture) => {
    const link = picture.closest("tbody").querySelector("a.open");
    if (!link) return;
    picture.classList.add("opens");
    picture.addEventListener("click", () => { location.hash = link.hash; });
  });
  follow();
}
