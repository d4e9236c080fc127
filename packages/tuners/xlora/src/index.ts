export { Classifier, type ClassifierSize, chosen } from './classifier.ts';
export { type XloraConfig, type XloraOptions, xloraConfig, xloraSchema } from './config.ts';
export { XloraAdapter, xlora } from './xlora.ts';
