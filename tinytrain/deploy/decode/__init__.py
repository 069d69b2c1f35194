"""From a detector's int8 outputs to boxes, in integers: the reference of firmware/app/detect.c, equal to the bit."""
