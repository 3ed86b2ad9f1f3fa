"""Parts of the screen of trainings: the table of trainings, and the page of one."""
