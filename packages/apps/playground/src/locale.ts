/**
 * A Chromium without a display that runs in the locale `C` calls its language `en-US@posix`, which `Intl`
 * refuses with a RangeError, and uPlot formats by `navigator.language` as it loads. Import this before it.
 */
try {
  new Intl.Locale(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en-US', configurable: true });
}
