// Reads the metadata of an ONNX file, which onnxruntime-web does not give.
//
// The file is a protocol buffer. Only its outermost fields are read; field 14 is an entry of the metadata, whose field 1 is
// the key and field 2 the value.
const ENTRY = 14, KEY = 1, VALUE = 2, VARINT = 0, BYTES = 2, FIXED = { 1: 8, 5: 4 };

// The value of a key in the bytes of a file, or undefined.
export function property(bytes, key) {
  const text = new TextDecoder();
  for (const [number, entry] of fields(bytes)) {
    if (number !== ENTRY) continue;
    const found = new Map(fields(entry));
    if (found.has(KEY) && text.decode(found.get(KEY)) === key) return text.decode(found.get(VALUE));
  }
}

// [number, bytes] of the fields of bytes.
function* fields(bytes) {
  for (let at = 0; at < bytes.length;) {
    const varint = () => {
      let value = 0, factor = 1;
      for (;; factor *= 128) {
        const byte = bytes[at++];
        value += (byte & 127) * factor;
        if (!(byte >= 128)) return value;
      }
    };
    const key = varint(), kind = key % 8;
    if (kind === BYTES) {
      const length = varint();
      yield [Math.floor(key / 8), bytes.subarray(at, at + length)];
      at += length;
    } else if (kind === VARINT) varint();
    else at += FIXED[kind] ?? bytes.length;
  }
}
