"use strict";
// Runs after textual.js, which opens the terminal and its websocket when the page has loaded.

const open_terminal = window.onload;

window.onload = async (event) => {
  const terminal = document.getElementById("terminal");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const folder = location.pathname.replace(/[^/]*$/, "");
  terminal.dataset.sessionWebsocketUrl = `${scheme}//${location.host}${folder}ws`;
  const size = Number.parseInt(new URLSearchParams(location.search).get("fontsize") ?? "16", 10);
  terminal.dataset.fontSize = String(size >= 6 && size <= 60 ? size : 16);

  // The terminal measures its cells when it is opened, so the fonts have to be there.
  const faces = ["", "bold ", "italic ", "italic bold "].map((face) => `${face}16px "Roboto Mono"`);
  await Promise.allSettled(faces.map((face) => document.fonts.load(face)));
  open_terminal(event);

  const again = document.getElementById("again");
  again.addEventListener("click", () => location.reload());
  const follow = () => {
    const state = document.body.classList;
    if (state.contains("-closed")) {
      again.focus();
    } else if (state.contains("-first-byte")) {
      // Keys go to etui without a click on the page first.
      terminal.querySelector(".xterm-helper-textarea").focus();
    }
  };
  let before = "";
  new MutationObserver(() => {
    if (document.body.className !== before) {
      before = document.body.className;
      follow();
    }
  }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
};
