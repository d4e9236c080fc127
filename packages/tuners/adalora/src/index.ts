export { adalora, adaloraConfig } from './adalora.ts';
export type { AdaloraConfig, RankPattern } from './config.ts';
export { methods } from './method.ts';
export { RankScheduledOptimizer, type RankScheduleOptions } from './rank-schedule.ts';
