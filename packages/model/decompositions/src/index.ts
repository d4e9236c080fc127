export {
  columnsOf,
  floats,
  largestSingularValues,
  matrixOf,
  type NormalNumbers,
  orthonormal,
  range,
  type Singular,
  singularValues,
} from './decompositions.ts';
