export const lossText = (loss: number): string => loss.toFixed(2);

export const countText = (count: number): string => Math.round(count).toLocaleString('en');

/** `8 s`, `1 min 20 s`, `12 min` */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes >= 10 || whole % 60 === 0 ? `${minutes} min` : `${minutes} min ${whole % 60} s`;
}

/** Bytes in powers of ten. */
export function bytesText(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(bytes >= 1e7 ? 0 : 1)} MB`;
  return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}
