"""`inpaint bulk`: fills any number of photographs, on one machine or many."""
