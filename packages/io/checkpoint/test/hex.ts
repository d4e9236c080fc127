/** Bytes of a string of hexadecimal digits. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** A safetensors file of this header, given as text or bytes, and so many zero bytes of data. */
export function fileOf(header: string | Uint8Array, dataBytes = 0): Uint8Array {
  const bytes = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + bytes.byteLength + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(bytes.byteLength), true);
  file.set(bytes, 8);
  return file;
}
