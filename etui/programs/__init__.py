"""What a program's file tells without running it: ``.pte`` files read byte by byte, whoever made them."""
