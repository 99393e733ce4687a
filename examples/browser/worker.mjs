// Fills photographs in the background: takes a photograph of residual_aggregation.mjs, answers {filled} or {error}.
import { property } from "./onnx_metadata.mjs";
import { fill } from "./residual_aggregation.mjs";

let network = null; // a promise of {run, size, detailBlur}

async function load() {
  const ort = await import("./ort.wasm.bundle.min.mjs");
  ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", import.meta.url).href };
  const model = new Uint8Array(await (await fetch(new URL("model.onnx", import.meta.url))).arrayBuffer());
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  if (!session.outputNames.includes("attention")) throw new Error("model.onnx has no attention, so it is not HiFill's file.");
  const size = session.inputMetadata.find(({ name }) => name === "image").shape[2];
  const run = async (image, mask) => {
    const found = await session.run({
      image: new ort.Tensor("float32", image, [1, 3, size, size]), mask: new ort.Tensor("float32", mask, [1, 1, size, size]),
    });
    return { output: found.output.data, attention: found.attention.data };
  };
  return { run, size, detailBlur: Number(property(model, "detail_blur") ?? 0) };
}

onmessage = async ({ data: photograph }) => {
  try {
    network ??= load();
    const { run, size, detailBlur } = await network;
    const filled = await fill(run, size, photograph, detailBlur);
    postMessage({ filled }, [filled.buffer]);
  } catch (error) {
    postMessage({ error: error.message });
  }
};
