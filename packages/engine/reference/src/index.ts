export { evaluate, type Feeds, UnknownOperationError } from './evaluate.ts';
export { philox } from './philox.ts';
export { erf } from './scalar-functions.ts';
