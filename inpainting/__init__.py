"""The commands of the package, and the page in the browser."""
