export {
  choiceLabel,
  configLabel,
  MATMUL,
  type MatmulConfig,
  matmulConfigs,
  problemClass,
} from './config.ts';
export { type MatmulOptions, matmulKernel } from './matmul-kernel.ts';
export type {
  MatmulDispatch,
  MatmulDType,
  MatmulEpilogue,
  MatmulKernel,
  MatmulOperand,
  MatmulProblem,
  OperandReader,
  ResultPlace,
} from './problem.ts';
export { keepsFours } from './problem.ts';
