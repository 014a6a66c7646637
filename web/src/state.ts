import { Store } from "./store";

/** The page's one state, painted with the browser's frames. */
export const store = new Store((flush) => requestAnimationFrame(flush), Date.now());
