import { byteSize, type KernelTraits } from '@graftjs/tensor';
import { entryText, positionText, workgroupsFor } from './element-kernel.ts';
import { elements, type IrValue } from './ir.ts';
import type { ScratchValue, Step } from './step.ts';
import { storageType } from './wgsl-functions.ts';

/**
 * scatterAdd without atomics, so that sums have one order: first each row of the result gathers the list of its
 * positions (a linked list; every position belongs to one row), then each element of the row adds along the list.
 */
export function scatterKernel(value: IrValue, traits: KernelTraits): Step[] {
  const [values, indices] = value.node.inputs as [IrValue, IrValue];
  const rows = value.shape[0]!;
  const width = elements(value.shape) / rows;
  const count = elements(indices.shape);
  const lists: ScratchValue = { scratch: `lists ${value.node.id}`, byteLength: (rows + count) * 4 };
  const size = 64;
  const link = `
@group(0) @binding(0) var<storage, read_write> indices: array<i32>;
@group(0) @binding(1) var<storage, read_write> lists: array<u32>;
@group(0) @binding(2) var<uniform> size: vec4<u32>;
${entryText(size)}
${positionText(size)}
let rows = size.x; let count_ = size.y;
if (position >= rows) { return; }
var head = 0xffffffffu;
for (var i = count_; i > 0u; i--) {
  if (u32(clamp(indices[i - 1u], 0i, i32(rows) - 1i)) == position) { lists[rows + i - 1u] = head; head = i - 1u; }
}
lists[position] = head;
}`;
  const type = storageType(value.dtype);
  const add = `
@group(0) @binding(0) var<storage, read_write> values: array<${type}>;
@group(0) @binding(1) var<storage, read_write> lists: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<${type}>;
@group(0) @binding(3) var<uniform> size: vec4<u32>;
${entryText(size)}
${positionText(size)}
let rows = size.x; let width = size.y;
if (position >= rows * width) { return; }
let row = position / width; let column = position % width;
var total = ${type}();
for (var i = lists[row]; i != 0xffffffffu; i = lists[rows + i]) { total += values[i * width + column]; }
result[position] = total;
}`;
  return [
    {
      label: 'scatterAdd lists',
      wgsl: link,
      bindings: [indices, lists],
      params: Uint32Array.of(rows, count, 0, 0),
      workgroups: workgroupsFor(rows, size, traits),
      reads: [indices],
      writes: [],
      flops: 0,
      bytes: rows * count * 4,
    },
    {
      label: 'scatterAdd',
      wgsl: add,
      bindings: [values, lists, value],
      params: Uint32Array.of(rows, width, 0, 0),
      workgroups: workgroupsFor(rows * width, size, traits),
      reads: [values],
      writes: [value],
      flops: count * width,
      bytes: elements(value.shape) * byteSize(value.dtype),
    },
  ];
}
