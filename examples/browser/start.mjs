// Shows the page of `inpaint serve`, without what needs a server and with index.html's own parts, and starts it.
const address = new URL("../../inpainting/serve/page/page.html", import.meta.url);
const page = new DOMParser().parseFromString(await (await fetch(address)).text(), "text/html");
for (const part of page.querySelectorAll("[data-server]")) part.remove();
for (const part of [...document.getElementById("own").content.children]) page.getElementById(part.id).replaceWith(part);
document.body.replaceChildren(...page.body.childNodes);
await import("/page.js"); // which index.html's import map finds
