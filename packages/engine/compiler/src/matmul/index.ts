export { type MatmulConfig, matmulConfigs } from './config.ts';
export { configLabel, type MatmulOptions, matmulKernel } from './matmul-kernel.ts';
export type {
  MatmulDispatch,
  MatmulDType,
  MatmulEpilogue,
  MatmulKernel,
  MatmulOperand,
  MatmulProblem,
  OperandReader,
} from './problem.ts';
