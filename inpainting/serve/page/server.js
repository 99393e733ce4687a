// What the page asks the server for. A refusal is an Error whose message is the server's one line.
// examples/browser/local.mjs does all of this in the browser.
const POLL = 300; // milliseconds between two looks at a job

async function answer(address, options = {}) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("The server does not answer. Does it still run?");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  const error = new Error(said.error || `The server answered ${response.status}.`);
  error.status = response.status;
  throw error;
}

const json = (value, method = "POST") => ({
  method, body: JSON.stringify(value), headers: { "Content-Type": "application/json" },
});

export const settings = async () => (await answer("/settings")).json();

// What the server's settings say of the photographs that it takes.
export const takes = ({ limits }) => `JPEG, PNG, WebP, TIFF or BMP, up to ${limits.megabytes} MB and ` +
  `${limits.megapixels} megapixels.`;

const send = async (address, file) => {
  const options = { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } };
  return (await answer(`${address}?name=${encodeURIComponent(file.name || "")}`, options)).json();
};

export const openPhotograph = (file) => send("/photographs", file);

// A photograph on the server, by its id.
export class Remote {
  constructor(id) { this.address = `/photographs/${encodeURIComponent(id)}`; }

  async describe() { return (await answer(this.address)).json(); }

  file(version) { return `${this.address}/versions/${version}/file`; }

  // The name under which it is downloaded; "": the server says it with the file.
  fileName() { return ""; }

  preview(version) { return picture(`${this.address}/versions/${version}/preview`); }

  async loadMask(file) { return (await send(`${this.address}/masks`, file)).mask; }

  maskPreview(number) { return picture(`${this.address}/masks/${number}/preview`); }

  async saveMask(strokes) { return (await answer(`${this.address}/mask.png`, json({ strokes }))).blob(); }

  snap(asked, watch) { return this.#job("snap", asked, watch); }

  fill(asked, watch) { return this.#job("fill", asked, watch); }

  // Starts a job and looks at it until it has ended; null if it was cancelled.
  // watch.state(answer) is called at every look; watch.cancel is set to a function that cancels the job.
  async #job(kind, asked, watch) {
    let job = await (await answer(`${this.address}/${kind}`, json(asked))).json();
    const address = `${this.address}/jobs/${job.job}`;
    watch.cancel = async () => { job = await (await answer(address, { method: "DELETE" })).json(); };
    while (job.state === "waiting" || job.state === "running") {
      watch.state(job);
      await new Promise((done) => setTimeout(done, POLL));
      if (job.state === "cancelled") break;
      const found = await (await answer(address)).json();
      if (job.state !== "cancelled") job = found;
    }
    if (job.state === "failed") throw new Error(job.error);
    return job.state === "cancelled" ? null : job;
  }
}

async function picture(address) {
  const blob = await (await answer(address)).blob();
  return createImageBitmap(blob);
}
