"""AudioSet and VGGSound: the sounds in a clip."""
