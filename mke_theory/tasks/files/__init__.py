"""Files of every data set: sound, films, pictures, depth, downloads, a cache."""
