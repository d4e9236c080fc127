export { AdamW, type AdamWOptions, type Update, type UpdateOptions } from './adamw.ts';
export {
  constantSchedule,
  cosineSchedule,
  linearSchedule,
  type Schedule,
  type WarmupOptions,
} from './schedule.ts';
