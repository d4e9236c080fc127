export { checkpoint } from './checkpoint.ts';
export { defineGradientOp, defineOp, gradientOpVjp, type OpDefinition } from './define-op.ts';
export { sigmoid, silu, softplus, uniform } from './derived.ts';
export { byteSize, type DType, dtypeOf, type HostArray, hostArray, hostView, isFloat } from './dtype.ts';
export { backpropagate, gradients } from './gradients.ts';
export {
  type Attrs,
  type AttrValue,
  applyOp,
  isVariable,
  Node,
  type Op,
  Tensor,
  type TensorSpec,
  Variable,
  type VariableOptions,
  type Vjp,
  type VjpContext,
  variableOp,
} from './graph.ts';
export { narrowToHalves, widenHalves } from './half.ts';
export type {
  ElementReader,
  Kernel,
  KernelBinding,
  KernelChoices,
  KernelDispatch,
  KernelFactory,
  KernelOperand,
  KernelRequest,
  KernelTraits,
  ReaderFactory,
} from './kernel.ts';
export { packOffsets } from './kernel.ts';
export { philoxText } from './philox-text.ts';
export * from './primitives/contraction.ts';
export * from './primitives/creation.ts';
export * from './primitives/elementwise.ts';
export * from './primitives/indexing.ts';
export * from './primitives/movement.ts';
export * from './primitives/recompute.ts';
export * from './primitives/reduction.ts';
export {
  broadcastShapes,
  formatShape,
  normalizeAxis,
  rowMajorStrides,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
} from './shape.ts';
