import { byteSize, type KernelTraits } from '@graftjs/tensor';
import { digitStatements, mergeDigits, renameDigits } from './element-kernel.ts';
import { Bindings, canVectorize, declareBindings, Emitter } from './emit.ts';
import type { Atom } from './index-form.ts';
import { elements, type IrValue } from './ir.ts';
import { type MatmulDType, type MatmulEpilogue, matmulKernel } from './matmul/index.ts';
import type { MatmulPlacement } from './matmul-operands.ts';
import { type AfterProduct, afterProduct } from './result-place.ts';
import type { ScratchValue, Step } from './step.ts';
import { helperText } from './wgsl-functions.ts';

/**
 * A matrix product as steps. `result` is the product itself, or the element-wise value that ends in its epilogue
 * (then `product` is the hole in `result`'s expression).
 */
export function matmulSteps(
  product: IrValue,
  result: IrValue,
  placement: MatmulPlacement,
  isMaterialized: (v: IrValue) => boolean,
  traits: KernelTraits,
): Step[] {
  const [a, b] = product.node.inputs as [IrValue, IrValue];
  const m = a.shape.at(-2)!;
  const k = a.shape.at(-1)!;
  const n = b.shape.at(-1)!;
  const after = product === result ? undefined : afterProduct(result, product, isMaterialized)!;
  const fused = after && epilogueOf(after);
  const kernel = matmulKernel(
    {
      ...{ m, n, k, batch: placement.batch },
      ...{ a: placement.operands[0], b: placement.operands[1], c: result.dtype as MatmulDType },
      ...(after?.place ? { place: after.place } : {}),
    },
    traits,
    fused ? { epilogue: fused.epilogue } : {},
  );
  const extras = fused?.values ?? [];
  const label = fused ? `${kernel.label}+${result.node.name}` : kernel.label;
  const bytes = elements(result.shape) * byteSize(result.dtype);
  const operandReads = placement.memories.flat();
  const [[a0, ...aRest], [b0, ...bRest]] = placement.memories;
  if (!kernel.splitK)
    return [
      {
        label,
        wgsl: kernel.wgsl,
        bindings: [a0, b0, result, ...extras, ...aRest, ...bRest],
        params: kernel.params,
        workgroups: kernel.workgroups,
        reads: [...operandReads, ...extras],
        writes: [result],
        flops: kernel.flops,
        bytes,
      },
    ];
  const { reduce, scratch } = kernel.splitK;
  const parts: ScratchValue = { scratch: `parts ${product.node.id}`, byteLength: scratch * 4 };
  return [
    {
      label: kernel.label,
      wgsl: kernel.wgsl,
      bindings: [a0, b0, parts, ...aRest, ...bRest],
      params: kernel.params,
      workgroups: kernel.workgroups,
      reads: operandReads,
      writes: [],
      flops: kernel.flops,
      bytes,
    },
    {
      label: `${label} parts`,
      wgsl: reduce.wgsl,
      bindings: [parts, result, ...extras],
      params: reduce.params,
      workgroups: reduce.workgroups,
      reads: extras,
      writes: [result],
      flops: reduce.flops,
      bytes,
    },
  ];
}

/** What follows a product element by element, as the two functions that matrix kernels call before they store. */
function epilogueOf(after: AfterProduct): { epilogue: MatmulEpilogue; values: IrValue[] } {
  const merged = mergeDigits(after.digits, after.expression);
  const { digits, expression } = renameDigits(merged.digits, merged.expression);
  const innermost = digits.at(-1);
  const vectorDigit = innermost && canVectorize(expression, innermost) ? innermost : undefined;
  // bindings are typed per kernel: an offset of the epilogue's buffers is shared by both functions
  const bindings = new Bindings(3);
  declareBindings(expression, bindings, vectorDigit);
  const helpers = new Set<string>();
  const write = (width: 1 | 4, digit: Atom | undefined): string => {
    const emitter = new Emitter({ bindings, width, hole: 'value', ...(digit ? { vectorDigit: digit } : {}) });
    const value = emitter.value(expression);
    for (const helper of emitter.helpers) helpers.add(helper);
    const type = width === 4 ? 'vec4<f32>' : 'f32';
    return [
      `fn epilogue${width}(value: ${type}, index: u32) -> ${type} {`,
      ...digitStatements(digits, 'index'),
      ...emitter.lines,
      `return ${value};`,
      '}',
    ].join('\n');
  };
  const one = write(1, undefined);
  const four = vectorDigit
    ? write(4, vectorDigit)
    : 'fn epilogue4(value: vec4<f32>, index: u32) -> vec4<f32> { return vec4<f32>(epilogue1(value.x, index), epilogue1(value.y, index + 1u), epilogue1(value.z, index + 2u), epilogue1(value.w, index + 3u)); }';
  const dtypes = [...helpers].filter((h): h is MatmulDType => h === 'f16' || h === 'bf16');
  for (const dtype of dtypes) helpers.delete(dtype);
  const declarations = bindings.text() + helperText(helpers);
  return {
    epilogue: { declarations, extraBindings: bindings.count, dtypes, functions: `${one}\n${four}` },
    values: bindings.values,
  };
}
