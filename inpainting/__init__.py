"""What people use without writing a program: the commands, and the page in the browser."""
