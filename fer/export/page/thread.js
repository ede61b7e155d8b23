// The worker, as a function to ask.

/**
 * Start the worker and return `ask(task, given, transfer)`, which promises its answer; `onProgress` gets shares of 1.
 *
 * A worker from a file would be free of the page's content policy, unless the host sends one with that file, which
 * static hosts do not. One from a blob inherits it: it, too, can reach nobody but the page's own host.
 */
export function start(onProgress) {
  const code = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const worker = new Worker(address, { type: "module" });
  const waiting = new Map();
  let count = 0;
  worker.onmessage = ({ data: { id, progress, answer, trouble } }) => {
    if (progress !== undefined) return onProgress(progress);
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    return trouble ? reject(trouble) : resolve(answer);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const trouble = { kind: event.message ? "failed" : "missing", name: event.message || "worker.js" };
    for (const { reject } of waiting.values()) reject(trouble);
    waiting.clear();
  };
  return (task, given = {}, transfer = []) =>
    new Promise((resolve, reject) => {
      count += 1;
      waiting.set(count, { resolve, reject });
      worker.postMessage({ id: count, task, ...given }, transfer);
    });
}
