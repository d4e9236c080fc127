import type { KernelBinding, KernelTraits } from '@graftjs/tensor';

/** A word of a kernel's uniform block. */
export type Word = readonly [name: string, type: 'u32' | 'i32' | 'f32', value: number];

/** The uniform block `p`, as WGSL for binding `binding` and as the words that fill it. */
export function uniformBlock(
  binding: number,
  words: readonly Word[],
): { text: string; data: Uint32Array<ArrayBuffer> } {
  const data = new Uint32Array(Math.ceil(words.length / 4) * 4);
  const view = new DataView(data.buffer);
  words.forEach(([, type, value], i) => {
    if (type === 'f32') view.setFloat32(4 * i, value, true);
    else view.setInt32(4 * i, value, true);
  });
  const fields = words.map(([name, type]) => `${name}: ${type}`).join(', ');
  return {
    text: `struct Params { ${fields} }\n@group(0) @binding(${binding}) var<uniform> p: Params;`,
    data,
  };
}

/** A storage buffer of a kernel: its name, the WGSL type of its elements, and what is bound. */
export type NamedBuffer = readonly [name: string, type: string, binding: KernelBinding];

/** Declarations of storage buffers at bindings 0, 1, ... in order. */
export const storageBuffers = (buffers: readonly NamedBuffer[]): string =>
  buffers
    .map(([name, type], i) => `@group(0) @binding(${i}) var<storage, read_write> ${name}: array<${type}>;`)
    .join('\n');

/** A grid of at least `count` workgroups: it wraps into y where x is full, so kernels compare `group` with the count. */
export function spread(count: number, traits: KernelTraits): [number, number, number] {
  const x = Math.max(1, Math.min(count, traits.maxWorkgroupsPerDimension));
  return [x, Math.max(1, Math.ceil(count / x)), 1];
}

/** The entry point; `body` sees `group`, this workgroup's number in a {@link spread} grid, and its index in it as `lane`. */
export const entry = (workgroupSize: number, body: string, lane = 'lane'): string => `
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) ${lane}: u32) {
  let group = workgroup.y * count.x + workgroup.x;
${body}
}`;
