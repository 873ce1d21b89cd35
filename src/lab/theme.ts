/** Dark or light: what the system prefers, or what was chosen here. */
import { useState } from 'preact/hooks';

const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

/** The theme in force, and a function that goes on to the next one. */
export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>('auto');
  const next = (): void => {
    const chosen = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
    document.documentElement.dataset['theme'] = chosen; // before anything is drawn in its colours
    setTheme(chosen);
  };
  return [theme, next];
}
