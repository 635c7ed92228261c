// Before anything is painted: light or dark, as the reader chose last or as his system has it.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("parivision-theme");
  } catch {
    // Without storage the system's choice holds.
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = chosen ?? (dark ? "dark" : "light");
}
