// Search runs in a worker. Browsers refuse workers to pages that are opened from the file system, so there this runs the
// worker's script in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.inbox = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = "<!doctype html>";
      this.frame.addEventListener("load", () => this.start(url), { once: true });
      document.documentElement.append(this.frame);
    }

    start(url) {
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => setTimeout(() => this.onmessage?.({ data: structuredClone(data) }));
      const script = inner.document.createElement("script");
      script.src = url;
      script.addEventListener("error", (event) => this.onerror?.(event));
      script.addEventListener("load", () => {
        this.deliver = (data) => inner.onmessage({ data: structuredClone(data) });
        this.inbox.splice(0).forEach(this.deliver);
      });
      inner.document.documentElement.append(script);
    }

    postMessage(data) {
      this.deliver ? this.deliver(data) : this.inbox.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  };
}
