// Run by test_residual_aggregation.py: fills the photograph of a folder, with the outputs of a network that lie in it.
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [module, folder] = process.argv.slice(2);
const { fill } = await import(pathToFileURL(module));
const read = (name) => new Uint8Array(fs.readFileSync(`${folder}/${name}`));
const floats = (name) => new Float32Array(read(name).buffer);
const { width, height, size, blur } = JSON.parse(fs.readFileSync(`${folder}/sizes.json`));

async function run(image, mask) {
  fs.writeFileSync(`${folder}/image`, image);
  fs.writeFileSync(`${folder}/mask`, mask);
  return { output: floats("output"), attention: floats("attention") };
}

const filled = await fill(run, size, { width, height, pixels: read("pixels"), hole: read("hole") }, blur);
fs.writeFileSync(`${folder}/filled`, filled);
