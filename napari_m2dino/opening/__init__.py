"""From what a person drops or picks to loops in the viewer: finding them, asking where it is needed, adding layers."""
