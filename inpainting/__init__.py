"""What people use without writing a program."""
